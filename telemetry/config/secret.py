"""
A value that must not be shown.
"""

from __future__ import annotations

MASK = "********"


class Secret:
    """
    A token or password that shows itself only to `reveal`.

    Printing, formatting, logging and comparing it never show it. A pickled copy is empty: a child
    process reads its own environment.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """
        Return the value itself; call it where it is sent, and keep it nowhere else.
        """
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return MASK if self._value else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def __reduce__(self) -> tuple[type[Secret], tuple[()]]:
        return (Secret, ())


def _bytes(value: str) -> bytes:
    """
    Return the bytes to compare; the environment may hold undecodable ones.
    """
    return value.encode("utf-8", "surrogateescape")
