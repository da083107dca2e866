"""Which line a committed step is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar import logs
from sidecar.core.model import State
from sidecar.core.states import Event
from sidecar.journal.db.connection import Transition
from sidecar.journal.db.transition_log import ATTEMPT_FAILED, log_transitions


def step_of(event: str) -> Transition:
    """Return a step of one file."""
    return Transition(
        event=event,
        transfer_id="01T",
        path="/renders/p/s/a.mp4",
        state=State.SYNCED,
        detail="why",
        seconds_since_ready=1.23456,
        session="p/s",
        size_bytes=7,
        version=2,
        upload_seconds=0.5,
    )


def line(event: str, *, told: bool = True) -> dict[str, Any]:
    """Return its line."""
    with capture_logs() as lines:
        log_transitions([step_of(event)], syncing=told)
    [one] = lines
    return dict(one)


def test_a_delivered_file_is_one_line_with_all_that_one_asks() -> None:
    """Path, session, bytes, seconds from close, upload seconds, version."""
    assert line(Event.ACKNOWLEDGED) == {
        "event": "delivered",
        "log_level": "info",
        "path": "/renders/p/s/a.mp4",
        "session": "p/s",
        "bytes": 7,
        "seconds_from_close": 1.235,
        "upload_seconds": 0.5,
        "version": 2,
        "transfer": "01T",
    }
    assert line(Event.UPLOADED, told=False)["event"] == "delivered"


@pytest.mark.parametrize(
    ("event", "name", "level"),
    [
        (Event.FAILED, "dead_letter", "error"),
        (Event.ABANDONED, "abandoned", "warning"),
        (ATTEMPT_FAILED, "attempt_failed", "warning"),
        (Event.COMPLETED, "completed", "debug"),
        (Event.UPLOADED, "uploaded", "debug"),
        (Event.REQUEUED_UPLOAD, "requeued_to_upload", "debug"),
    ],
)
def test_what_needs_a_person_is_at_least_a_warning_and_a_step_is_for_debugging(
    event: str, name: str, level: str
) -> None:
    """Names are snake_case."""
    told = line(event)
    assert (told["event"], told["log_level"]) == (name, level)


def test_a_state_is_the_word_itself() -> None:
    """A renderer of the standard library, as programs have it, would print the member of an enumeration."""
    assert repr(line(ATTEMPT_FAILED)["state"]) == "'synced'"


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_lines_come_in_the_order_of_their_steps_and_none_below_its_level(
    capsys: pytest.CaptureFixture[str], level: str
) -> None:
    """Delivered files are written together, and yet never before what came first."""
    logs.configure(log_format="json", level=level)
    events = [Event.ACKNOWLEDGED, Event.COMPLETED, Event.ACKNOWLEDGED, ATTEMPT_FAILED, Event.ACKNOWLEDGED]
    log_transitions([step_of(event) for event in events], syncing=True)
    told = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    everything = ["delivered", "completed", "delivered", "attempt_failed", "delivered"]
    hidden = {"debug": set(), "info": {"completed"}, "warning": {"completed", "delivered"}}[level]
    assert told == [name for name in everything if name not in hidden]
