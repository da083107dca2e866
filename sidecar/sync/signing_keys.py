"""The sidecar's ES256 keys: the private one stays in a file here, Convex knows only the public one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

COORDINATE_BYTES = 32


class KeyFileError(Exception):
    """A key file cannot be used or made; the message is one sentence for the operator."""


def create(path: Path) -> str:
    """Write a new private key (PEM, mode 0600) to a new file and return its kid.

    Raises KeyFileError if the file exists or cannot be written: a key in use is never overwritten.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already; choose another name, nothing is overwritten") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(fd, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(fd)
    return kid(key)


def read(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key file. Raises KeyFileError."""
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyFileError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: {error}") from None


def parse(pem: str) -> ec.EllipticCurvePrivateKey:
    """Return the key in a PEM text. Raises KeyFileError if it is no unencrypted P-256 private key."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError("this is not an unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError("this is no ES256 key (ECDSA on P-256); `sidecar convex keys new` makes one")
    return key


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public half as a JSON Web Key."""
    required = _required_members(key)
    return {**required, "kid": _thumbprint(required), "alg": "ES256", "use": "sig"}


def kid(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the key's id: its RFC 7638 thumbprint, so that both sides derive the same."""
    return _thumbprint(_required_members(key))


def jwks(keys: Sequence[ec.EllipticCurvePrivateKey]) -> dict[str, Any]:
    """Return the JSON Web Key Set of the public halves; during a rotation it holds two."""
    return {"keys": [public_jwk(key) for key in keys]}


def jwks_data_uri(keys: Sequence[ec.EllipticCurvePrivateKey]) -> str:
    """Return the set as a data URI: what SIDECAR_JWKS_DATA_URI holds in Convex's environment."""
    text = json.dumps(jwks(keys), separators=(",", ":"))
    return "data:application/json;base64," + base64.b64encode(text.encode()).decode()


def _required_members(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}


def _thumbprint(required: dict[str, str]) -> str:
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def _coordinate(number: int) -> str:
    return _base64url(number.to_bytes(COORDINATE_BYTES))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
