"""Turns each committed step into one log line: which name and which level it has.

A delivered file is one line at info (``delivered``), and single steps are at debug. A dead letter is an
error. An attempt that failed, and an end with something owed, are warnings (core/account.py has the levels).
The names of events are snake_case. The journal's writer logs after the commit, so a line says only what is
true.
"""

from __future__ import annotations

import structlog

from sidecar.core.account import TABLE, FileClass, Level
from sidecar.core.states import Event

from .base import Transition

log = structlog.get_logger()
ATTEMPT_FAILED = "failed"
REMOVAL_REFUSED = "removal refused"
_NAMES: dict[str, tuple[str, Level | None]] = {
    Event.EXHAUSTED: ("dead_letter", TABLE[FileClass.DEAD].level),
    Event.NEGLECTED: ("abandoned", TABLE[FileClass.ABANDONED].level),
    ATTEMPT_FAILED: ("attempt_failed", "warning"),
    REMOVAL_REFUSED: ("removal_refused", "warning"),
    Event.REMOVED: ("removed", "info"),
    "deleted locally": ("deleted_locally", "info"),
}


def tell(step: Transition, *, told: bool) -> None:
    """Write the line of a step. ``told`` is False where the upload is the end of the way."""
    if step.event == (Event.ACKNOWLEDGED if told else Event.UPLOADED):
        log.info(
            "delivered",
            path=step.path,
            session=step.session,
            bytes=step.size_bytes,
            seconds_from_close=_rounded(step.seconds_since_ready),
            upload_seconds=_rounded(step.upload_seconds),
            version=step.version,
            transfer=step.transfer,
        )
        return
    name, level = _NAMES.get(step.event, (step.event.replace(" ", "_"), "debug"))
    write = getattr(log, level or "debug")
    write(name, transfer=step.transfer, path=step.path, state=step.state, detail=step.detail)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
