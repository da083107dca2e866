"""Signs requests with AWS Signature Version 4, as botocore does for S3, and keeps the day's key.

The payload is not part of the signature: each carries a checksum, in a header that is signed, and S3 compares
the bytes with it. A path is signed as it is sent, never normalized.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
NO_PAYLOAD = sha256(b"").hexdigest()
STAMP = "%Y%m%dT%H%M%SZ"  # of x-amz-date, in UTC
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=%s, Signature=%s"
_DAY_CHARS = 8
_BLOCK_BYTES = 64  # of SHA-256
# What fronts may change on its way.
_NOT_SIGNED = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """What is signed of a request; ``headers`` include ``host`` and each name once, in any case."""

    method: str
    path: str  # percent-encoded, as it is sent
    query: str
    headers: Mapping[str, str]
    payload: str = UNSIGNED_PAYLOAD  # or its SHA-256, which must stand in x-amz-content-sha256, too


class Signer:
    """Signs for one region with whatever keys it is given."""

    def __init__(self, *, region: str) -> None:
        """``region`` is the one that S3 checks signatures for."""
        self._region = region
        self._made: tuple[tuple[str, str], _Hmac] | None = None  # for which secret and day; the key

    def authorization(self, request: Unsigned, *, access_key: str, secret_key: str, stamp: str) -> str:
        """Return the header; ``stamp`` is the request's x-amz-date."""
        names, text = canonical(request)
        scope, signature = self.signature(text, secret_key=secret_key, stamp=stamp)
        return AUTHORIZATION % (f"{access_key}/{scope}", names, signature)

    def signature(self, text: str, *, secret_key: str, stamp: str) -> tuple[str, str]:
        """Return the scope and the signature of a canonical request."""
        day = stamp[:_DAY_CHARS]
        scope = f"{day}/{self._region}/s3/aws4_request"
        digest = sha256(text.encode()).hexdigest()
        signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        return scope, self._key(secret_key, day).hexdigest(signed.encode())

    def _key(self, secret_key: str, day: str) -> _Hmac:
        if self._made is None or self._made[0] != (secret_key, day):
            key = f"AWS4{secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._made = (secret_key, day), _Hmac(key)
        return self._made[1]


class _Hmac:
    """HMAC-SHA256 (RFC 2104) under one key of 32 bytes, both its blocks hashed once.

    ``hmac.digest`` lets go of the interpreter for each text, however short, and then waits for it.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def hexdigest(self, text: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()


def canonical(request: Unsigned) -> tuple[str, str]:
    """Return the names of the headers that are signed, and the canonical request."""
    spelt, lower, names = order_of(tuple(request.headers))
    values = [*map(request.headers.__getitem__, spelt)]
    if not are_tidy(values):
        values = [" ".join(value.split()) for value in values]
    lines = "\n".join(map(":".join, zip(lower, values, strict=True)))
    query = "&".join(sorted(request.query.split("&"))) if request.query else ""
    return names, f"{request.method}\n{request.path}\n{query}\n{lines}\n\n{names}\n{request.payload}"


@lru_cache(maxsize=256)
def order_of(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return the headers that are signed in their order, which all objects of a rule share.

    As they are spelt, in lower case, and these as one text.
    """
    order = sorted((name.lower(), name) for name in names if name.lower() not in _NOT_SIGNED)
    lower = tuple(name for name, _ in order)
    return tuple(name for _, name in order), lower, ";".join(lower)


def are_tidy(values: Iterable[str]) -> bool:
    """Tell whether values are signed as they are: with single blanks, and none at their ends. Most are."""
    every = "|".join(("", *values, ""))
    return every.isprintable() and "  " not in every and "| " not in every and " |" not in every
