"""Dispatches the command ``sidecar``: ``run`` and ``health`` do not wait for the other commands' imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130
ANSWERS = frozenset({"health", "wait"})  # by their exit status: a full disk under the log changes no verdict
# Each is meant for another program, ends the import of a library of ours where its path cannot be written,
# and where it can lets the keys of our connections, or our metrics, out to a file.
_FOREIGN = ("SSLKEYLOGFILE", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, also where nobody reads what it prints."""
    if arguments is None:
        _settle()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:
        from sidecar.signals import Inbox

        inbox = Inbox()
        inbox.open()  # before all else: from here on no signal is lost
        from .run import run

        return run(given[1:], inbox)
    try:
        from sidecar import streams

        streams.install()
        status = _command(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    flushed = streams.finish(status)
    return status if given[:1] and given[0] in ANSWERS else flushed


def _command(arguments: list[str]) -> int:
    match arguments:
        case ["health", *rest]:
            from .health import health

            return health(rest)
        case everything:
            from .app import app

            app(args=everything, prog_name="sidecar")
            return 0


def _settle() -> None:
    """Make of this process's environment what the libraries may read, before the first of them does."""
    for name in _FOREIGN:
        os.environ.pop(name, None)
    from . import lazy_methods

    lazy_methods.install()
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # they are looked for among all that is installed
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line, with click and pygments
    if sys.getfilesystemencoding() != "utf-8":  # names of files are, whatever the locale says
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - ourselves
