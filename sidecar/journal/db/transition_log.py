"""Turns each committed step into one log line: which name and which level it has.

A delivered file is one line at info (``delivered``), and single steps are at debug. A dead letter is an
error. An attempt that failed, and an unfinished end, are warnings (core/account.py has the levels).
The names of events are snake_case. The journal's writer logs after the commit, so a line says only what is
true.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import structlog

from sidecar.core.account import TABLE, FileClass, Level
from sidecar.core.states import Event
from sidecar.logs import info_rows, prints

from .connection import Transition

log = structlog.get_logger()
ATTEMPT_FAILED = "failed"
REMOVAL_REFUSED = "removal refused"
_NAMES: dict[str, tuple[str, Level | None]] = {
    Event.FAILED: ("dead_letter", TABLE[FileClass.DEAD].level),
    Event.ABANDONED: ("abandoned", TABLE[FileClass.ABANDONED].level),
    ATTEMPT_FAILED: ("attempt_failed", "warning"),
    REMOVAL_REFUSED: ("removal_refused", "warning"),
    Event.REMOVED: ("removed", "info"),
    "deleted locally": ("deleted_locally", "info"),
}


def log_transitions(transitions: Sequence[Transition], *, syncing: bool) -> None:
    """Write the lines of steps. ``syncing`` is False where the upload is the end of the way."""
    end = Event.ACKNOWLEDGED if syncing else Event.UPLOADED
    is_debugging = prints(logging.DEBUG)
    delivered: list[dict[str, Any]] = []
    for step in transitions:
        if step.event == end:
            delivered.append(_delivered(step))
        elif is_debugging or step.event in _NAMES:  # nobody sees the rest: three steps of each file
            _log_delivered(delivered)
            _log(step)
    _log_delivered(delivered)


def _delivered(step: Transition) -> dict[str, Any]:
    since_close, upload = step.seconds_since_ready, step.upload_seconds
    return {
        "path": step.path,
        "session": step.session,
        "bytes": step.size_bytes,
        "seconds_from_close": since_close and round(since_close, 3),
        "upload_seconds": upload and round(upload, 3),
        "version": step.version,
        "transfer": step.transfer_id,
    }


def _log_delivered(rows: list[dict[str, Any]]) -> None:
    """Write the lines that wait for one that comes after them."""
    if rows:
        info_rows("delivered", rows)
        rows.clear()


def _log(step: Transition) -> None:
    name, level = _NAMES.get(step.event, (step.event.replace(" ", "_"), "debug"))
    write = getattr(log, level or "debug")
    write(
        name,
        transfer=step.transfer_id,
        path=step.path,
        state=step.state and str(step.state),  # the word, for any renderer
        detail=step.detail,
    )
