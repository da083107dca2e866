"""The command ``sidecar``. ``run`` and ``health`` do not wait for the imports of the other commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (or raises SystemExit with it)."""
    match list(sys.argv[1:] if arguments is None else arguments):
        case ["run", *rest]:
            from .run import run

            return run(rest)
        case ["health", *rest]:
            from .health import health

            return health(rest)
        case everything:
            from .app import app

            app(args=everything, prog_name="sidecar")
            return 0
