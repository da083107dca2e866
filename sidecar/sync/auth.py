"""Who we are to Convex: the Authorization header of every call, by ``convex.auth``.

Secrets in files are read again when they change, off the event loop. No error names a secret.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, assert_never

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings.secret import Secret
from sidecar.settings.telling import ConvexAuth, DeployKeyAuth, JwtAuth, NoAuth, TokenFileAuth

from . import keys

TOKEN_SECONDS = 300
RENEW_SECONDS = 240  # a token is replaced a minute before it expires
_ALGORITHM = "ES256"
_EARLIER_SECONDS = 2  # Convex's clock is known to the second


class Credentials(Protocol):
    """What a call shows. ``internal``: the holder calls the internal twins."""

    internal: bool

    async def header(self) -> str | None:
        """Return the Authorization header. Raises SidecarError (UNAUTHORIZED) if a secret is unusable."""

    def refused(self) -> bool:
        """Take in that Convex refused the header; tell whether a fresh one is worth one more call."""


class NoCredentials:
    """Nothing: works only against `sidecar dev`."""

    internal = False

    async def header(self) -> str | None:
        """Return None."""
        return None

    def refused(self) -> bool:
        """Nothing can be done."""
        return False


class SecretCredentials:
    """A secret that somebody else made: a token from a file, or a deploy key."""

    def __init__(self, secret: Secret, *, scheme: str, internal: bool) -> None:
        """``scheme`` is "Bearer" for tokens and "Convex" for deploy keys."""
        self.internal = internal
        self._secret = secret
        self._scheme = scheme

    async def header(self) -> str | None:
        """Return the secret as it is now."""
        return f"{self._scheme} {await read_secret(self._secret)}"

    def refused(self) -> bool:
        """Nothing can be done: the file is read at every call anyway."""
        return False


class JwtCredentials:
    """Five-minute tokens, signed here with a key that is read again when its file changes."""

    internal = False

    def __init__(
        self,
        key: Secret,
        *,
        issuer: str,
        audience: str,
        sidecar_id: str,
        clock: Clock,
        remote_clock: RemoteClock,
    ) -> None:
        """``sidecar_id`` becomes the token's sub."""
        self._secret = key
        self._claims = {"iss": issuer, "aud": audience, "sub": sidecar_id}
        self._clock = clock
        self._remote_clock = remote_clock
        self._pem: str | None = None
        self._token = ""
        self._renew_at = 0.0  # monotonic

    async def header(self) -> str | None:
        """Return the current token, or a new one if it is old or the key has changed."""
        pem = await read_secret(self._secret)
        if pem != self._pem or self._clock.monotonic() >= self._renew_at:
            self._token = self._mint(pem)
            self._pem = pem
            self._renew_at = self._clock.monotonic() + RENEW_SECONDS
        return f"Bearer {self._token}"

    def refused(self) -> bool:
        """Forget the token: the refusal told us Convex's time, so the next one may be right."""
        self._pem = None
        return True

    def _mint(self, pem: str) -> str:
        key = _usable(pem, self._secret)
        issued = self._remote_clock.now_seconds() - _EARLIER_SECONDS
        claims = {**self._claims, "iat": issued, "exp": issued + TOKEN_SECONDS}
        return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": keys.kid(key)})


def credentials(
    auth: ConvexAuth | None, *, sidecar_id: str, clock: Clock, remote_clock: RemoteClock
) -> Credentials:
    """Build what ``convex.auth`` asks for. None means the mode none."""
    match auth:
        case None | NoAuth():
            return NoCredentials()
        case TokenFileAuth():
            return SecretCredentials(auth.token, scheme="Bearer", internal=False)
        case DeployKeyAuth():
            return SecretCredentials(_given(auth.deploy_key), scheme="Convex", internal=True)
        case JwtAuth():
            return JwtCredentials(
                _given(auth.private_key),
                issuer=str(auth.issuer),
                audience=auth.audience,
                sidecar_id=sidecar_id,
                clock=clock,
                remote_clock=remote_clock,
            )
        case _:
            assert_never(auth)


async def read_secret(secret: Secret) -> str:
    """Return a secret; the disk is touched off the event loop."""
    return secret.get() if secret.path is None else await asyncio.to_thread(secret.get)


def _given(secret: Secret | None) -> Secret:
    if secret is None:
        raise ValueError("the settings' validation lets no auth mode pass without its secret")
    return secret


def _usable(pem: str, secret: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        return keys.parse(pem)
    except keys.KeyFileError as error:
        raise SidecarError(
            ErrorKind.UNAUTHORIZED,
            str(error),
            operation="read",
            target=str(secret.path or "convex.auth.private_key"),
            hint="`sidecar convex keys new --out FILE` makes a key",
        ) from None
