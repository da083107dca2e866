"""Settings of addresses that the library gives out: ``urls``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from .secret import Secret, from_files
from .types import PositiveSeconds, Section

_SCHEMES = ("redis", "rediss")


def _cache(text: str) -> str:
    if text in ("none", "memory"):
        return text
    try:
        url = urlsplit(text)
        port_is_fine = url.port is None or url.port > 0
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}") from None
    if url.scheme not in _SCHEMES or not url.hostname or not port_is_fine:
        raise ValueError(f"{text!r} is not allowed here; write none, memory or redis://host:6379/0")
    if url.username is not None or url.password is not None or url.query:
        raise ValueError("holds no user, password or options; see urls.redis_user and urls.redis_password")
    return text


def _key_id(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{1,64}", text):
        raise ValueError(f"{text!r} is no key's id; write one such as K2JCJMDEHXQW5F")
    return text


class Urls(Section):
    """Addresses that the library gives out."""

    cache: Annotated[str, AfterValidator(_cache)] = "memory"
    """none | memory | redis://host:6379/0: where the library remembers which key an asset has."""
    cache_for: PositiveSeconds = 60.0
    """How long; an asset that another program replaces has its old address for so long."""
    redis_user: Annotated[str, Field(min_length=1)] | None = None
    """Redis's user; default: its default user."""
    redis_password: Secret | None = None
    """Redis's password."""
    redis_password_file: Path | None = None
    """File with that password; read again when it changes."""
    cloudfront_key_id: Annotated[str, AfterValidator(_key_id)] | None = None
    """CloudFront's id of the public key whose private half signs addresses below s3.public_base_url."""
    cloudfront_private_key: Secret | None = None
    """PEM of that private key, RSA or ECDSA."""
    cloudfront_private_key_file: Path | None = None
    """File with that PEM; read again when it changes."""

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, values: Any) -> Any:
        return from_files(values, "redis_password", "cloudfront_private_key")
