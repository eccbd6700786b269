"""
``telemetry token``: make, list and revoke the tokens that the service asks for.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.freshness import check_base
from telemetry.cli.session import Session, current, same_base, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import clock, parse_span, parse_when
from telemetry.model.errors import TelemetryError

if TYPE_CHECKING:
    from telemetry.service.tokenfile import TokenFile
    from telemetry.service.tokens import Token

#: `telemetry.service.tokens.Scope` has the same words; a test compares them.
SCOPES = ("ingest", "read", "edit", "admin")
_COLUMNS = (
    TableColumn(title="ID", style="name"),
    TableColumn(title="NAME", least=12, leaves=4),
    TableColumn(title="SCOPES"),
    TableColumn(title="STATE"),
    TableColumn(title="CREATED", leaves=2),
    TableColumn(title="EXPIRES", leaves=3),
    TableColumn(title="LAST USED", leaves=1),
)
_STYLES = {"active": "good", "expired": "warn", "revoked": "faint"}


def _expiry(ctx: click.Context, param: click.Parameter, value: Optional[str]) -> Optional[datetime]:
    if value is None or value.lower() == "never":
        return None
    now = datetime.now(timezone.utc)
    try:
        if re.fullmatch(r"\d+[smhdw]", value.lower()):
            moment = now + parse_span(value)
        else:
            moment = parse_when(value, now.astimezone()).astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        moment = now
    if moment <= now:
        raise click.BadParameter(
            f"must lie ahead, like 12h, 90d, 2027-01-31 or never (got {value!r})", ctx, param
        )
    return moment.replace(microsecond=0) if moment.microsecond else moment


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from telemetry.service.tokens import MAX_NAME_LENGTH

    if not value.strip() or not value.isprintable() or len(value) > MAX_NAME_LENGTH:
        raise click.BadParameter(
            f"must be 1 to {MAX_NAME_LENGTH} printable characters (got {len(value)})", ctx, param
        )
    return value.strip()


@shares_options
@click.group("token")
def command() -> None:
    """
    Make, list and revoke the tokens that the service asks for.

    As soon as there is a token, the service asks every client for one. A running service obeys at
    once.
    """


@shares_options
@command.command("create")
@click.argument("name", callback=_name)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may be used for; give the option more than once for several.",
)
@click.option(
    "--expires",
    metavar="WHEN",
    callback=_expiry,
    help="When it ends: 12h, 90d, 2027-01-31; never, unless given.",
)
def create(name: str, scopes: tuple[str, ...], expires: Optional[datetime]) -> None:
    """
    Make a token called NAME, and show it: once, on standard output, and never again.

    Clients send it as "Authorization: Bearer TOKEN"; telemetry's own find it in
    TELEMETRY_API_TOKEN. One that cannot be shown is taken back.
    """
    from telemetry.service.tokens import Scope, mint

    session = current()
    if sys.stdout is None:
        raise click.UsageError("standard output must be open to show the token on; open it")
    now = datetime.now(timezone.utc).replace(microsecond=0)
    token, secret = mint(name, map(Scope, scopes), created=now, expires=expires)
    known_count = _file(session).add(token)
    try:
        if session.as_json:
            session.screen.json({**_document(token, None), "token": secret.reveal()})
        else:
            session.screen.lines([secret.reveal()])
    except BaseException:
        _take_back(session, token)
        raise
    session.screen.note(
        f"token {token.id} ({', '.join(token.scopes)}; expires {_when(session, expires)}) "
        "is shown this once; keep it where secrets are kept"
    )
    if not known_count:
        session.screen.note("the service asks every client for a token from now on")


def _take_back(session: Session, token: Token) -> None:
    """
    Forget a token that could not be shown.
    """
    try:
        _file(session).remove(token.id)
    except (OSError, TelemetryError) as error:
        session.screen.warn(
            f"token {token.id}, which nobody has seen, must be taken back ({error});"
            f" run telemetry token revoke {token.id}{same_base(session)}"
        )
    else:
        session.screen.note(f"token {token.id} is taken back, for nobody has seen it")


@shares_options
@command.command("list")
def list_tokens() -> None:
    """
    List the tokens and what they may be used for; their secrets are nowhere.
    """
    from telemetry.service.tokenfile import LastUsed

    session = current()
    check_base(session)
    tokens = _file(session).load()
    used = LastUsed(session.config.state_dir).load()
    if session.as_json:
        documents = [_document(token, used.get(token.id)) for token in tokens]
        session.screen.json({"tokens": documents})
        return
    rows = [_row(session, token, used.get(token.id)) for token in tokens]
    if rows:
        session.screen.lines(draw(session.screen, _COLUMNS, rows))
    else:
        session.screen.note("no tokens; `telemetry token create NAME --scope read` makes one")


@shares_options
@command.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """
    Take the token ID out of use, for good and at once.
    """
    import msgspec

    session = current()
    check_base(session)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    changed = _file(session).change(
        token_id,
        lambda token: token if token.revoked else msgspec.structs.replace(token, revoked=now),
    )
    if changed is None:
        # What was given may be a whole token, so it is not repeated.
        fail("a token's id must be one of `telemetry token list`; see there", Exit.NOT_FOUND)
    if session.as_json:
        session.screen.json(_document(changed, None))
    else:
        mark = session.screen.mark("✓", "good")
        session.screen.lines([f"{mark} token {changed.id} is revoked"])


def _file(session: Session) -> TokenFile:
    from telemetry.service.tokenfile import TokenFile

    return TokenFile(session.config.state_dir)


def _when(session: Session, moment: Optional[datetime]) -> str:
    return clock(moment, utc=session.utc) if moment else "never"


def _moment(second: Optional[float]) -> Optional[datetime]:
    return None if second is None else datetime.fromtimestamp(int(second), timezone.utc)


def _row(session: Session, token: Token, used: Optional[float]) -> list[Cell]:
    state = token.state(datetime.now(timezone.utc)).value
    return [
        Cell(token.id),
        Cell(token.name),
        Cell(" ".join(token.scopes)),
        Cell(state, _STYLES[state]),
        Cell(_when(session, token.created)),
        Cell(_when(session, token.expires)),
        Cell(_when(session, _moment(used))),
    ]


def _document(token: Token, used: Optional[float]) -> dict[str, Any]:
    def iso(moment: Optional[datetime]) -> Optional[str]:
        return moment.isoformat().replace("+00:00", "Z") if moment else None

    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "state": token.state(datetime.now(timezone.utc)).value,
        "created": iso(token.created),
        "expires": iso(token.expires),
        "last_used": iso(_moment(used)),
        "revoked": iso(token.revoked),
    }
