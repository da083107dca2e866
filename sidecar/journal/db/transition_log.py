"""Turns each committed step into one log line: which name and which level it has.

A delivered file is one line at info (``delivered``), and single steps are at debug. A dead letter is an
error. An attempt that failed, and an unfinished end, are warnings (core/account.py has the levels).
The names of events are snake_case. The journal's writer logs after the commit, so a line says only what is
true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from sidecar.core.account import TABLE, FileClass, Level
from sidecar.core.states import Event

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
    if transitions:
        bound = log.bind()  # once: it costs more than a line that no level wants
        for transition in transitions:
            _log(bound, transition, syncing=syncing)


def _log(bound: Any, transition: Transition, *, syncing: bool) -> None:
    if transition.event == (Event.ACKNOWLEDGED if syncing else Event.UPLOADED):
        bound.info(
            "delivered",
            path=transition.path,
            session=transition.session,
            bytes=transition.size_bytes,
            seconds_from_close=_rounded(transition.seconds_since_ready),
            upload_seconds=_rounded(transition.upload_seconds),
            version=transition.version,
            transfer=transition.transfer_id,
        )
        return
    name, level = _NAMES.get(transition.event, (transition.event.replace(" ", "_"), "debug"))
    write = getattr(bound, level or "debug")
    write(
        name,
        transfer=transition.transfer_id,
        path=transition.path,
        state=transition.state and str(transition.state),  # the word, for any renderer
        detail=transition.detail,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
