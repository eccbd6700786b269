"""
The service's tokens: what one is, how it is made, and how it is recognised.

A token is shown once, when it is made: ``tlm_<id>_<secret>``. Kept is only a salted digest of the
secret, under the id, which is public. The secret has 256 random bits, so one round of SHA-256 is
as good as many: nothing can be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Optional

import msgspec

from telemetry.config import Secret

PREFIX = "tlm"
MAX_NAME_LENGTH = 100
ID_BYTES = 6
SALT_BYTES = 16
SECRET_BYTES = 32


#: A time with its zone, as it is stored.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Scope(str, Enum):
    """
    What a token may be used for.
    """

    INGEST = "ingest"
    READ = "read"
    EDIT = "edit"
    ADMIN = "admin"


class TokenState(str, Enum):
    """
    Whether a token is taken, and if not, why.
    """

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """
    One token as it is stored: everything but the secret.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    salt: str
    sha256: str
    created: Moment
    expires: Optional[Moment] = None
    revoked: Optional[Moment] = None

    def state(self, now: datetime) -> TokenState:
        """
        Return whether the token is taken at a moment.
        """
        if self.revoked is not None:
            return TokenState.REVOKED
        if self.expires is not None and now >= self.expires:
            return TokenState.EXPIRED
        return TokenState.ACTIVE

    def matches(self, secret: bytes) -> bool:
        """
        Return whether a secret is this token's, in a time that does not depend on the answer.
        """
        return hmac.compare_digest(_digest(self.salt, secret).encode(), self.sha256.encode())


def mint(
    name: str, scopes: Iterable[Scope], *, created: datetime, expires: Optional[datetime]
) -> tuple[Token, Secret]:
    """
    Make a token; its text is in the secret, and nowhere else.
    """
    token_id, salt = secrets.token_hex(ID_BYTES), secrets.token_hex(SALT_BYTES)
    secret = secrets.token_hex(SECRET_BYTES)
    token = Token(
        id=token_id,
        name=name,
        scopes=tuple(sorted({scope.value for scope in scopes})),
        salt=salt,
        sha256=_digest(salt, secret.encode()),
        created=created,
        expires=expires,
    )
    return token, Secret(f"{PREFIX}_{token_id}_{secret}")


def split(text: bytes) -> Optional[tuple[bytes, bytes]]:
    """
    Return the id and the secret of a token's text; None for any other text.
    """
    parts = text.split(b"_", 2)
    if len(parts) != 3 or parts[0] != PREFIX.encode():  # noqa: PLR2004 (prefix, id and secret)
        return None
    return parts[1], parts[2]


def _digest(salt: str, secret: bytes) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + secret).hexdigest()
