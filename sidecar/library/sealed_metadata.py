"""Encrypts values of metadata with AES-256-GCM, each bound to its entity and its name.

A sealed value is text: ``sealed:1:<key id>:<base64url of nonce, ciphertext and tag>``. A value that is moved
to another entity, or to another name, does not open. Keys have ids, so that they can be changed: the first
seals, all of them open. A key seals up to 2**32 values, because each takes a random nonce (NIST SP 800-38D).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import LibraryError

PREFIX = "sealed:1:"
KEY_BYTES = 32
_NONCE_BYTES = 12
_CONTEXT = "render-sidecar:metadata-key"  # what KMS binds a data key to, by its id
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OTHERS = stat.S_IROTH | stat.S_IWOTH


class SealError(LibraryError):
    """A value cannot be opened or sealed; the message names it and no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataKeys:
    """Keys by their ids; ``current`` seals. Its repr shows ids alone."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for keys that cannot be used."""
        for key_id, key in self.keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"{key_id!r} is no key's id; write 1 to 64 letters, digits and . _ -")
            if len(key) != KEY_BYTES:
                raise ValueError(f"key {key_id} has {len(key)} bytes; AES-256 takes {KEY_BYTES}")
        if self.current not in self.keys:
            raise ValueError(f"key {self.current!r} is to seal, and is not there")

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, kms: Any = None) -> Self:
        """Read a file of lines ``id base64-key``; the first one seals. Blocking.

        ``kms`` is a client of AWS KMS (``boto3.client("kms")``): the keys of the file are data keys then, as
        ``new_key`` encrypts them, and KMS opens each once. Raises ValueError for a file that is none, or that
        everybody on this machine may read; OSError; botocore's ClientError for what KMS refuses.
        """
        path = Path(path)
        if (mode := path.stat().st_mode) & _OTHERS:
            raise ValueError(f"{path} is open to every user of this machine (mode {stat.S_IMODE(mode):04o})")
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        pairs = [line for line in lines if line and not line[0].startswith("#")]
        if not pairs or any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - an id and a key
            raise ValueError(f"{path} must hold lines of an id and a key in base64")
        if len({key_id for key_id, _ in pairs}) < len(pairs):
            raise ValueError(f"{path} names a key twice")
        try:
            keys = {key_id: base64.b64decode(text, validate=True) for key_id, text in pairs}
        except binascii.Error:
            raise ValueError(f"{path} holds a key that is no base64") from None
        if kms is not None:
            keys = {key_id: _opened_by(kms, key_id, sealed) for key_id, sealed in keys.items()}
        return cls(current=pairs[0][0], keys=keys)

    @staticmethod
    def new_key(*, kms: Any = None, key_id: str | None = None, name: str = "") -> str:
        """Return a new key in base64, as a file of keys holds it, under the id ``name`` there.

        With ``kms`` it is a data key of the KMS key ``key_id``, encrypted by it and bound to its ``name``.
        """
        if kms is None:
            return base64.b64encode(os.urandom(KEY_BYTES)).decode()
        made = kms.generate_data_key_without_plaintext(
            KeyId=key_id, KeySpec="AES_256", EncryptionContext={_CONTEXT: name}
        )
        return base64.b64encode(made["CiphertextBlob"]).decode()


def _opened_by(kms: Any, key_id: str, sealed: bytes) -> bytes:
    found: bytes = kms.decrypt(CiphertextBlob=sealed, EncryptionContext={_CONTEXT: key_id})["Plaintext"]
    return found


new_key = MetadataKeys.new_key


def is_sealed(value: str) -> bool:
    """Tell whether a value is sealed, or says so."""
    return value.startswith(PREFIX)


def seal(
    metadata: Mapping[str, str], keys: MetadataKeys, *, entity_id: str, names: Collection[str] | None
) -> dict[str, str]:
    """Return metadata with the values of ``names`` sealed, None: all. Raises SealError."""
    if other := [name for name, value in metadata.items() if not isinstance(value, str)]:
        raise SealError(f"metadata holds text alone, and {', '.join(other)} is none")
    if names is not None and (missing := sorted(set(names) - metadata.keys())):
        raise SealError(f"metadata has no {', '.join(missing)}")
    sealed = next((name for name, value in metadata.items() if is_sealed(value)), None)
    if sealed is not None:
        raise SealError(f"{sealed} is sealed already")
    chosen = metadata.keys() if names is None else set(names)
    return {
        name: _sealed(value, keys, entity_id=entity_id, name=name) if name in chosen else value
        for name, value in metadata.items()
    }


def unseal(metadata: Mapping[str, str], keys: MetadataKeys, *, entity_id: str) -> dict[str, str]:
    """Return metadata with each sealed value opened. Raises SealError: nothing is opened in part."""
    return {
        name: _opened(value, keys, entity_id=entity_id, name=name) if is_sealed(value) else value
        for name, value in metadata.items()
    }


def resealed(metadata: Mapping[str, str], keys: MetadataKeys, *, entity_id: str) -> dict[str, str]:
    """Return metadata whose sealed values are sealed by the current key. Raises SealError."""
    old = {name for name, value in metadata.items() if is_sealed(value) and _key_id(value) != keys.current}
    return {
        name: _sealed(
            _opened(value, keys, entity_id=entity_id, name=name), keys, entity_id=entity_id, name=name
        )
        if name in old else value
        for name, value in metadata.items()
    }  # fmt: skip


def _sealed(value: str, keys: MetadataKeys, *, entity_id: str, name: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    bound = _bound_to(keys.current, entity_id, name)
    body = nonce + AESGCM(keys.keys[keys.current]).encrypt(nonce, value.encode(), bound)
    return f"{PREFIX}{keys.current}:{_text(body)}"


def _opened(value: str, keys: MetadataKeys, *, entity_id: str, name: str) -> str:
    key_id, text = _key_id(value), value.rpartition(":")[2]
    if key_id not in keys.keys:
        raise SealError(f"{name} is sealed with key {key_id!r}, which is not among these keys")
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if _text(body) != text:
            raise ValueError("it has another spelling than ours")  # noqa: TRY301 - it ends like a changed one
        nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        return AESGCM(keys.keys[key_id]).decrypt(nonce, sealed, _bound_to(key_id, entity_id, name)).decode()
    except (InvalidTag, ValueError):
        raise SealError(
            f"{name} was changed, or sealed for another entity or name than {entity_id}"
        ) from None


def _text(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _key_id(value: str) -> str:
    return value.removeprefix(PREFIX).rpartition(":")[0]


def _bound_to(key_id: str, entity_id: str, name: str) -> bytes:
    return json.dumps([PREFIX, key_id, entity_id, name], ensure_ascii=False).encode()
