"""
Which runs a list is of: parameters as they come in a URL, made into conditions on columns.

`PARAMETERS` derives from the run's fields: equality for texts, choices and flags, bounds for times
and counts. A parameter that is empty is no condition. What cannot be meant is a `FilterError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Callable, Union

import attrs

from telemetry.model.hints import did_you_mean
from telemetry.model.run import COLUMNS, MAX_INTEGER, Kind, parse_status
from telemetry.model.values import accept, clean_text, to_sql
from telemetry.storage.queries.errors import FilterError
from telemetry.storage.queries.times import zoned_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from telemetry.model.run import Column
    from telemetry.model.values import SqlValue

Parameters = Union[Mapping[str, Union[str, "Sequence[str]"]], "Iterable[tuple[str, str]]"]

#: A list is asked with a few parameters; beyond this somebody is playing.
MAX_PARAMETERS = 200
MAX_VALUES = 100
_CHOICES = (Kind.STATUS, Kind.TRIGGER, Kind.COMMIT_SOURCE)
_EXCLUDABLE = ("agent_name", "job_type", "status")


class Operator(str, Enum):
    """
    How a column's value is compared.
    """

    IS = "="
    IS_NOT = "<>"
    BELOW = "<"
    ABOVE = ">"
    FROM = ">="
    TO = "<="


_WORDS = {
    Operator.IS: "is this, or one of several",
    Operator.IS_NOT: "is none of these",
    Operator.BELOW: "is before this",
    Operator.ABOVE: "is after this",
    Operator.FROM: "is this or above",
    Operator.TO: "is this or below",
}


@attrs.frozen(kw_only=True)
class Parameter:
    """
    One thing that may be asked of a list of runs.
    """

    name: str
    column: Column
    operator: Operator

    @property
    def takes_several(self) -> bool:
        """
        Return whether it may be repeated: any of the values will do.
        """
        return self.operator in (Operator.IS, Operator.IS_NOT)

    @property
    def doc(self) -> str:
        """
        Return what it asks for, as a sentence.
        """
        return f"Runs whose {self.column.name} {_WORDS[self.operator]}. {self.column.doc}"


def _parameters() -> Iterator[Parameter]:
    for name, column in COLUMNS.items():
        if column.kind is Kind.TIME:
            yield from _bounds_of_time(column)
        elif column.kind is not Kind.JSON:
            yield Parameter(name=name, column=column, operator=Operator.IS)
        if column.kind is Kind.COUNT:
            yield Parameter(name=f"min_{name}", column=column, operator=Operator.FROM)
            yield Parameter(name=f"max_{name}", column=column, operator=Operator.TO)
        if name in _EXCLUDABLE:
            yield Parameter(name=f"exclude_{name}", column=column, operator=Operator.IS_NOT)


def _bounds_of_time(column: Column) -> Iterator[Parameter]:
    stem, _, is_moment = column.name.rpartition("_")
    if is_moment == "at":  # created_at: created_after, created_before
        yield Parameter(name=f"{stem}_after", column=column, operator=Operator.ABOVE)
        yield Parameter(name=f"{stem}_before", column=column, operator=Operator.BELOW)
    else:  # start_time: start_time_from, start_time_to
        yield Parameter(name=f"{column.name}_from", column=column, operator=Operator.FROM)
        yield Parameter(name=f"{column.name}_to", column=column, operator=Operator.TO)


#: Everything that may be asked of a list of runs, by name.
PARAMETERS: Mapping[str, Parameter] = {one.name: one for one in _parameters()}


@attrs.frozen
class Condition:
    """
    One column, compared with one value or with several of which one must fit.
    """

    column: str
    operator: Operator
    values: tuple[SqlValue, ...]


@attrs.frozen
class Filters:
    """
    The conditions that all must hold; none at all means every run.
    """

    conditions: tuple[Condition, ...] = ()

    @classmethod
    def parse(cls, params: Parameters, *, passed_over: Collection[str] = ()) -> Filters:
        """
        Return what the parameters of a request ask for.

        Args:
            params: Names and texts; a name may come several times, or with a list.
            passed_over: Names that mean something to the caller, such as ``limit``.

        Raises:
            FilterError: A name is not known, or a value cannot be meant.
        """
        said: dict[str, list[str]] = {}
        for name, text in pairs(params):
            if name in passed_over:
                continue
            if name not in PARAMETERS:
                raise unknown_name(name, [*PARAMETERS, *passed_over])
            if text:
                said.setdefault(name, []).append(text)
        found = (_condition(PARAMETERS[name], texts) for name, texts in said.items())
        return cls(tuple(condition for condition in found if condition.values))

    def among(self, event_ids: Sequence[str]) -> Filters:
        """
        Return these conditions, for some runs only.
        """
        some = Condition("event_id", Operator.IS, tuple(event_ids))
        return Filters((*self.conditions, some))


def pairs(params: Parameters) -> Iterator[tuple[str, str]]:
    """
    Yield each name with each of its texts, as long as there are not too many.

    Raises:
        FilterError: There are.
    """
    items = params.items() if isinstance(params, Mapping) else params
    flat = chain.from_iterable(
        [(name, value)] if isinstance(value, str) else ((name, one) for one in value)
        for name, value in items
    )
    for number, (name, text) in enumerate(flat):
        if number >= MAX_PARAMETERS:
            raise FilterError(
                "the query",
                f"must have at most {MAX_PARAMETERS} parameters",
                "more",
                "ask with fewer",
            )
        yield name, text


def unknown_name(name: str, known: Collection[str]) -> FilterError:
    """
    Return the error for a parameter that does not exist; it names the nearest that does.
    """
    way_out = did_you_mean(name, known, "leave it out")
    return FilterError(name or "''", "must be a parameter of this list", name, way_out)


def _condition(parameter: Parameter, texts: list[str]) -> Condition:
    read = _READ.get(parameter.column.kind, _read_text)
    if not parameter.takes_several and len(texts) > 1:
        raise FilterError(parameter.name, "must be given once", ", ".join(texts), "leave one out")
    if parameter.column.kind in _CHOICES:
        texts = [one.strip() for text in texts for one in text.split(",") if one.strip()]
    if len(texts) > MAX_VALUES:
        raise FilterError(
            parameter.name, f"must have at most {MAX_VALUES} values", len(texts), "ask with fewer"
        )
    values = dict.fromkeys(read(parameter, text) for text in texts)
    return Condition(parameter.column.name, parameter.operator, tuple(values))


def _read_text(parameter: Parameter, text: str) -> SqlValue:
    limit = parameter.column.max_length
    if clean_text(text) != text:
        raise FilterError(
            parameter.name,
            "must be text without NUL and lone surrogates",
            text,
            "no run has such a value",
        )
    if limit is not None and len(text) > limit:
        raise FilterError(
            parameter.name,
            f"must have at most {limit} characters",
            f"{len(text)} characters",
            "no run has a longer one",
        )
    return text


def _read_choice(parameter: Parameter, text: str) -> SqlValue:
    status = parse_status(text)
    word = status.value if status and parameter.column.kind is Kind.STATUS else text.lower()
    if word not in parameter.column.choices:
        choices = ", ".join(parameter.column.choices)
        raise FilterError(
            parameter.name, f"must be one of {choices}", text, "use one of these", status=400
        )
    return str(word)


def _read_flag(parameter: Parameter, text: str) -> SqlValue:
    found = accept(parameter.column, text)
    if found.problem:
        raise FilterError(parameter.name, "must be true or false", text, "use one of these")
    return to_sql(parameter.column, found.value)


def _read_count(parameter: Parameter, text: str) -> SqlValue:
    digits = text.strip()
    # Twenty digits are more than the largest, and few enough to be read.
    if digits.isascii() and digits.isdigit() and len(digits) < len(str(MAX_INTEGER)) + 1:
        number = int(digits)
        if number <= MAX_INTEGER:
            return number
    raise FilterError(
        parameter.name, f"must be an integer from 0 to {MAX_INTEGER}", text, "such as 100"
    )


def _read_time(parameter: Parameter, text: str) -> SqlValue:
    return zoned_time(parameter.name, text)


_READ: Mapping[Kind, Callable[[Parameter, str], Any]] = {
    Kind.STATUS: _read_choice,
    Kind.TRIGGER: _read_choice,
    Kind.COMMIT_SOURCE: _read_choice,
    Kind.FLAG: _read_flag,
    Kind.COUNT: _read_count,
    Kind.TIME: _read_time,
}
