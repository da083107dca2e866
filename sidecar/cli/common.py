"""What the reading commands share: the options, the address, failing with a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from . import address
from .client import ClientError, ask

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The endpoint: http://HOST:PORT or unix:/PATH; else SIDECAR_STATUS__LISTEN or 127.0.0.1:9745.",
    ),
]
Socket = Annotated[
    Path | None, typer.Option(envvar=address.SOCKET, metavar="PATH", help="The daemon's status.socket.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar=address.TOKEN_FILE, metavar="FILE", help="The daemon's status.token_file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

FAILED, USAGE, TRY_LATER = 1, 2, 75


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Turn what the endpoint or its absence says into one sentence on stderr and exit status 1."""
    try:
        yield
    except (ClientError, ValueError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        raise typer.Exit(FAILED) from None


def endpoint(url: str | None) -> address.Address:
    """Return the endpoint's address; raises ValueError."""
    return address.find(url, os.environ)


def named(path: str, where: address.Address, token: str | None = None) -> str:
    """Return a path as the daemon should hear it: absolute where that is what is meant.

    A relative one that is not here may be a file of this folder that is gone meanwhile, or lie below a
    root: the daemon is asked which of the two it knows. Raises ClientError.
    """
    if not os.path.lexists(path) and path.startswith("~"):  # --path=~/x reaches us as it is
        path = os.path.expanduser(path)  # noqa: PTH111 - surrogate escapes
    try:
        here = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - not normalized: links come before ..
    except FileNotFoundError:  # the working directory was deleted
        return path
    if not path or path.startswith("/") or os.path.lexists(path):
        return here if path else path
    is_known, is_below = _known(where, here, token)
    if is_known or os.path.normpath(path).startswith(".."):
        return here
    return here if is_below and not _known(where, path, token)[0] else path


def _known(where: address.Address, path: str, token: str | None) -> tuple[bool, bool]:
    """Tell whether the daemon has a path on disk or in its journal, and whether it lies below a root."""
    reply = ask(where, "/explain", query={"path": path}, token=token)[1]
    return reply["state"] is not None or reply["finding"] not in (None, "missing"), reply["root"] is not None


def print_json(reply: Any) -> None:
    """Print one JSON document on one line; ASCII, so that every terminal and reader takes it."""
    print(json.dumps(reply))


def door(url: str | None, socket: Path | None, token_file: Path | None) -> tuple[address.Address, str | None]:
    """Return where to POST and with which token: the socket where there is one. Raises ValueError."""
    if socket is not None and url is None:
        return address.Address(socket=str(socket)), None
    try:
        token = token_file.read_text(encoding="ascii").strip() if token_file else None
    except OSError as error:
        raise ValueError(f"{token_file} cannot be read: {error.strerror}") from None
    return address.find(url, os.environ), token
