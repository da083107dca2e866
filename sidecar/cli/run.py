"""``sidecar run``: the daemon. Typer and rich never come in here."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

BAD_CONFIGURATION = 78


def run(arguments: Sequence[str]) -> int:
    """Run the daemon until it ends; what an operator got wrong is a sentence, never a traceback."""
    options = _parser().parse_args(arguments)
    gc.disable()  # imports leave next to no garbage, and each collection would walk all that is there
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog would load it: 12 MiB for nothing
    from sidecar.core.errors import FatalError
    from sidecar.settings import SettingsError

    try:
        from sidecar.daemon import main

        return main(options.config)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except FatalError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return error.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sidecar run",
        description="Ship finished files until SIGTERM; then drain and exit.",
        epilog="Exit status: 0 nothing is owed, 1 failed, 75 try later, 78 bad configuration.",
    )
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the YAML file; without it, SIDECAR_... variables alone",
    )
    return parser
