"""Finds the endpoint and its token: by option, by the daemon's own file or variables, or the default.

Standard library alone, unless there is a file to read: ``health`` uses it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT = "127.0.0.1:9745"
DEFAULT_PORT = 9745
CONFIG = "SIDECAR_CONFIG"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options that say where a daemon is; None where one is not given."""

    url: str | None = None
    socket: Path | None = None
    token_file: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAccess:
    """Where to ask, and with which token. ``lacks`` says why there is none although there should be."""

    address: Address
    token: str | None = None
    lacks: str | None = None


class UnusableFileError(ValueError):
    """The daemon's file does not say where it listens; every reason with its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    listen: str | None
    socket: str | None
    token_file: str | None


def find(asked: Asked, environ: Mapping[str, str]) -> EndpointAccess:
    """Return the way to the daemon: what is asked for, else its file's ``status``, else its variables.

    A socket that this user may use goes before the TCP address, whose token need not be readable to read.
    Raises ValueError with a sentence for what is asked for and cannot be, UnusableFileError for a file.
    """
    named = asked.url or asked.socket
    known = _known(asked.config or (None if named else environ.get(CONFIG)), environ)
    token_file = str(asked.token_file) if asked.token_file else known.token_file
    if asked.url:
        door = _with_token(parse(asked.url), token_file)
    elif asked.socket:
        return EndpointAccess(address=Address(socket=str(asked.socket)))
    elif known.socket and os.access(known.socket, os.W_OK) and not asked.token_file:
        return EndpointAccess(address=Address(socket=known.socket))
    else:
        door = _with_token(parse(known.listen or DEFAULT), token_file)
    if asked.token_file and door.lacks:
        raise ValueError(door.lacks)
    return door


def parse(text: str) -> Address:
    """Return the address of a URL, ``host:port`` or ``unix:/path``. Raises ValueError."""
    if text.startswith("unix:"):
        return Address(socket="/" + text.removeprefix("unix:").lstrip("/"))
    try:
        url = urlsplit(text if "//" in text else f"//{text}")
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}; write http://127.0.0.1:9745") from None
    if url.scheme not in ("", "http"):
        raise ValueError(f"{text!r} is no address of the endpoint; write http://127.0.0.1:9745")
    if port == 0:
        raise ValueError(
            f"{text!r} is any free port: the daemon's log tells which; give that with --url, or use a socket"
        )
    return Address(host=_ANY.get(host, host), port=port or DEFAULT_PORT, path=url.path.rstrip("/"))


def _known(config: Path | str | None, environ: Mapping[str, str]) -> _Known:
    if not config:
        return _Known(
            listen=environ.get(LISTEN) or None,
            socket=environ.get(SOCKET) or None,
            token_file=environ.get(TOKEN_FILE) or None,
        )
    from sidecar.settings.problems import SettingsError
    from sidecar.settings.status_section import reach

    try:
        file = reach(Path(config), environ=environ)
    except SettingsError as error:
        raise UnusableFileError(str(error)) from None
    return _Known(listen=file.listen, socket=file.socket, token_file=file.token_file)


def _with_token(address: Address, token_file: str | None) -> EndpointAccess:
    """Return the door; a token that cannot be had matters only to a request that is refused for it."""
    if address.socket or not token_file:
        return EndpointAccess(address=address)
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except OSError as error:
        return EndpointAccess(address=address, lacks=f"{token_file} cannot be read: {error.strerror}")
    except ValueError:
        return EndpointAccess(address=address, lacks=f"{token_file} holds no token: it is not plain text")
    return EndpointAccess(
        address=address, token=token or None, lacks=None if token else f"{token_file} is empty"
    )
