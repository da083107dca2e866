"""Signs tokens. It is a module of its own because only who signs loads a library for it."""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings.secret import Secret

from . import signing_keys

TOKEN_SECONDS = 300
RENEW_SECONDS = 240  # a token is replaced a minute before it expires
_ALGORITHM = "ES256"
_EARLIER_SECONDS = 2  # Convex's clock is known to the second


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
        self.wants = (
            f"Convex must have SIDECAR_JWT_ISSUER={issuer} as convex.auth.issuer has it, and"
            f" SIDECAR_JWT_AUDIENCE={audience} as convex.auth.audience, and in SIDECAR_JWKS_DATA_URI what"
            " `sidecar convex keys jwks` prints for convex.auth.private_key_file"
        )
        self._claims = {"iss": issuer, "aud": audience, "sub": sidecar_id}
        self._clock = clock
        self._remote_clock = remote_clock
        self._pem: str | None = None
        self._token = ""
        self._renew_at = 0.0  # monotonic

    async def header(self) -> str | None:
        """Return the current token, or a new one if it is old or the key has changed."""
        pem = await self._secret.read()
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
        return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": signing_keys.kid(key)})


def _usable(pem: str, secret: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        return signing_keys.parse(pem)
    except signing_keys.KeyFileError as error:
        raise SidecarError(
            ErrorKind.UNAUTHORIZED,
            str(error),
            operation="read",
            target=str(secret.path or "convex.auth.private_key"),
            hint="`sidecar convex keys new --out FILE` makes a key",
        ) from None
