"""``sidecar run``: the daemon. Typer and rich never come in here."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sidecar import streams
from sidecar.log_lines import LineWriter
from sidecar.signals import Inbox

BAD_CONFIGURATION = 78
STDERR_TIMEOUT_SECONDS = 2.0  # nobody may read it, and the end must come all the same


def run(arguments: Sequence[str], inbox: Inbox | None = None) -> int:
    """Run the daemon until it ends; what an operator got wrong is a sentence, never a traceback."""
    if inbox is None:
        inbox = Inbox()
        inbox.open()
    streams.install(timeout_seconds=STDERR_TIMEOUT_SECONDS)
    _keep_modes_sane()
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:  # usage, or --help
        return streams.finish(int(end.code or 0))
    gc.disable()  # imports leave next to no garbage, and each collection would walk all that is there
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog would load it: 12 MiB for nothing
    sys.modules.setdefault("awscrt.auth", None)  # type: ignore[arg-type]  # botocore would: 0.03 s for signing as we do not
    try:
        with LineWriter(sys.stdout.fileno()) as lines:
            return _live(options.config, inbox, lines)
    finally:
        inbox.close()


def _live(config: Path | None, inbox: Inbox, lines: LineWriter) -> int:
    from sidecar.core.errors import FatalError
    from sidecar.settings import SettingsError

    _import_aiohttp()
    try:
        from sidecar.daemon import main

        return main(config, inbox=inbox, lines=lines)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except FatalError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return error.exit_status


def _import_aiohttp() -> None:
    """Import aiohttp without the authorities of its default contexts: each request of ours brings its own.

    It reads all that the system trusts, twice, when it is imported: 0.05 s of CPU and 3 MiB. What used such a
    context all the same would trust nobody.
    """
    import ssl

    ssl.SSLContext.set_default_verify_paths = lambda _: None  # type: ignore[assignment]
    try:
        import aiohttp  # noqa: F401 - that is all
    finally:
        del ssl.SSLContext.set_default_verify_paths  # the C class's own shows again


def _keep_modes_sane() -> None:
    """Let nobody's umask lock us out of our own files, nor let others write into them."""
    inherited = os.umask(0o077)
    os.umask((inherited & 0o077) | 0o022)


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
        default=os.environ.get("SIDECAR_CONFIG") or None,
        help="the YAML file; default: SIDECAR_CONFIG, else SIDECAR_... variables alone",
    )
    return parser
