"""Holds what the reading commands share: the options, the address, and failing with a sentence."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from . import address
from .client import ClientError, ask

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The daemon's configuration; else SIDECAR_CONFIG. Of it only the section status is read.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The endpoint: http://HOST:PORT or unix:/PATH; else as -c says, or 127.0.0.1:9745.",
    ),
]
Socket = Annotated[Path | None, typer.Option(metavar="PATH", help="The daemon's status.socket.")]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The daemon's status.token_file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

FAILED, USAGE, TRY_LATER, BAD_CONFIGURATION = 1, 2, 75, 78
_WHERE: dict[str, Any] = {"config": Config, "url": Url, "socket": Socket, "token_file": TokenFile}


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where its daemon is; it gets a ``door`` for them."""

    @functools.wraps(command)
    def asks(**given: Any) -> None:
        with sentences():
            door = address.find(address.Asked(**{name: given.pop(name) for name in _WHERE}), os.environ)
        command(**given, door=door)

    own = inspect.signature(command, eval_str=True).parameters.values()
    where = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in _WHERE.items()
    ]
    parameters = [*(one for one in own if one.name != "door"), *where]
    asks.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    asks.__annotations__ = {one.name: one.annotation for one in parameters}
    return asks


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Turn what the endpoint, its absence or a file says into one sentence on stderr and an exit status."""
    try:
        yield
    except address.UnusableFileError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from None
    except (ClientError, ValueError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        raise typer.Exit(FAILED) from None


def named(path: str, where: address.EndpointAccess) -> str:
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
    is_known, is_below = _known(where, here)
    if is_known or os.path.normpath(path).startswith(".."):
        return here
    return here if is_below and not _known(where, path)[0] else path


def _known(where: address.EndpointAccess, path: str) -> tuple[bool, bool]:
    """Tell whether the daemon has a path on disk or in its journal, and whether it lies below a root."""
    reply = ask(where, "/explain", query={"path": path})[1]
    return reply["state"] is not None or reply["finding"] not in (None, "missing"), reply["root"] is not None


def print_json(reply: Any) -> None:
    """Print one JSON document on one line; ASCII, so that every terminal and reader takes it."""
    print(json.dumps(reply))
