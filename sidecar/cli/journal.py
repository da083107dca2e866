"""``sidecar journal backup | check``: beside a running daemon, or without one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from . import common
from .config import BAD_CONFIGURATION

app = typer.Typer(
    name="journal",
    help="Copy and check the journal, also while the sidecar runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SIDECAR_CONFIG", help="The file whose journal.path it is."),
]
Journal = Annotated[
    Path | None,
    typer.Option("--journal", metavar="PATH", help="The journal itself, without a configuration."),
]


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not be there yet.")],
    *,
    config: Config = None,
    journal: Journal = None,
    json_output: common.Json = False,
) -> None:
    """Copy the journal to FILE as it is at one moment, checked and durable.

    To restore it: stop the sidecar, put the copy in the journal's place, remove the -wal and -shm files
    beside it, start. A copy that Convex knows to be old is moved aside by itself, and a new journal is
    filled from the folder, S3 and Convex.
    """
    with _sentences():
        from sidecar.journal.read.snapshot import back_up

        made = back_up(_path(config, journal), target)
    if json_output:
        common.print_json({**asdict(made), "path": str(made.path)})
    else:
        print(f"{made.path} holds the journal as it was up to op {made.last_seq}, {made.size_bytes} bytes.")


@app.command()
def check(*, config: Config = None, journal: Journal = None, json_output: common.Json = False) -> None:
    """Check that the journal's file is whole and that its rows agree. Nothing is changed.

    Exit status 1 if anything is wrong.
    """
    with _sentences():
        from sidecar.journal.read.check import check_journal

        path = _path(config, journal)
        found = check_journal(path)
    if json_output:
        common.print_json({"path": str(path), "ok": not found.findings, **asdict(found)})
    else:
        for finding in found.findings:
            print(f"Broken: {finding.rule} ({finding.count}): {', '.join(finding.examples)}")
        for note in found.notes:
            print(f"Note: {note}.")
        if not found.findings:
            print(f"{path} is whole: {sum(found.transfers.values())} transfers, {found.size_bytes} bytes.")
    if found.findings:
        raise typer.Exit(common.FAILED)


@contextmanager
def _sentences() -> Iterator[None]:
    from sidecar.journal.read.snapshot import JournalUnreadableError
    from sidecar.settings import SettingsError

    try:
        yield
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from None
    except (JournalUnreadableError, OSError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        raise typer.Exit(common.FAILED) from None


def _path(config: Path | None, journal: Path | None) -> Path:
    if journal is not None:
        return journal
    from sidecar.settings import load

    return load(config, environ=os.environ, watching=False).journal.path
