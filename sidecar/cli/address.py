"""Where the endpoint is: by --url, by the daemon's own settings in the environment, or the default.

Standard library alone: ``health`` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT = "127.0.0.1:9745"
DEFAULT_PORT = 9745
LISTEN = "SIDECAR_STATUS__LISTEN"
SOCKET = "SIDECAR_STATUS__SOCKET"
TOKEN_FILE = "SIDECAR_STATUS__TOKEN_FILE"  # noqa: S105 - the name of a variable
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - connected to, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Host and port, or the path of a unix socket. ``path`` is what a URL asked for, "" if nothing."""

    host: str = ""
    port: int = 0
    socket: str | None = None
    path: str = ""

    def __str__(self) -> str:
        """How people name it."""
        return self.socket or (
            f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        )


def find(url: str | None, environ: Mapping[str, str]) -> Address:
    """Return the endpoint's address. Raises ValueError with a sentence for one that cannot be."""
    text = url or environ.get(LISTEN) or DEFAULT
    if text.startswith("unix:"):
        return Address(socket="/" + text.removeprefix("unix:").lstrip("/"))
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}; write http://127.0.0.1:9745") from None
    if parts.scheme not in ("", "http"):
        raise ValueError(f"{text!r} is no address of the endpoint; write http://127.0.0.1:9745")
    return Address(host=_ANY.get(host, host), port=port, path=parts.path.rstrip("/"))
