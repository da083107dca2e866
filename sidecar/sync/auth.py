"""Says who we are to Convex: the Authorization header of every call, by ``convex.auth``.

Secrets in files are read again when they change, off the event loop. No error names a secret.
"""

from __future__ import annotations

from typing import Protocol, assert_never

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings.convex import ConvexAuth, DeployKeyAuth, JwtAuth, NoAuth, TokenFileAuth
from sidecar.settings.secret import Secret

DEPLOY_KEY = "convex.auth.deploy_key must be one of the deployment at convex.url, and not be revoked"


class Credentials(Protocol):
    """What a call shows. ``internal``: the holder calls the internal twins.

    ``wants`` is what has to hold for Convex to accept it, with the keys and their values; never a secret.
    """

    internal: bool
    wants: str

    async def header(self) -> str | None:
        """Return the Authorization header. Raises SidecarError (UNAUTHORIZED) if a secret is unusable."""

    def refused(self) -> bool:
        """Take in that Convex refused the header; tell whether a fresh one is worth one more call."""


class NoCredentials:
    """Shows no credentials: works only against `sidecar dev`."""

    internal = False
    wants = "convex.auth has mode: none, which only `sidecar dev` accepts; write mode: jwt and its keys"

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
        self.wants = DEPLOY_KEY if internal else f"Convex must trust who issues the tokens in {secret.path}"
        self._secret = secret
        self._scheme = scheme

    async def header(self) -> str | None:
        """Return the secret as it is now."""
        secret = await self._secret.read()
        if not (secret.isascii() and secret.isprintable()):
            raise SidecarError(
                ErrorKind.UNAUTHORIZED, "the secret is no token: it has several lines, or more than ASCII",
                operation="read", target=str(self._secret.path or "convex.auth"), hint=self.wants,
            )  # fmt: skip
        return f"{self._scheme} {secret}"

    def refused(self) -> bool:
        """Nothing can be done: the file is read at every call anyway."""
        return False


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
            from .tokens import JwtCredentials  # noqa: PLC0415 - 9 MiB and 40 ms, only for those who sign

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


def _given(secret: Secret | None) -> Secret:
    if secret is None:
        raise ValueError("the settings' validation lets no auth mode pass without its secret")
    return secret
