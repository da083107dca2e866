"""A connection is never closed while another thread is in the middle of its statement: Python would crash."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sidecar.daemon.blocking import finished
from tests.support.journals import open_journal

CLOSES = """
import sys, threading, time
from pathlib import Path
from sidecar.core.clock import SystemClock
from sidecar.journal.read.reader import JournalReader

NUMBERS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 30000000)"
for _ in range(10):
    reader = JournalReader(Path(sys.argv[1]), clock=SystemClock())
    begun, said = threading.Event(), []
    reader._db.set_progress_handler(begun.set, 1000)

    def ask():
        try:
            reader._all(f"{NUMBERS} SELECT max(x) FROM c")
        except Exception as error:
            said.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    begun.wait()
    reader.close()
    asking.join()
    assert said == ["interrupted"], said
"""


def test_a_reader_that_is_closed_ends_its_question_first(tmp_path: Path) -> None:
    """In a process of its own, for the worst."""
    journal = open_journal(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CLOSES, str(journal.db.path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_cancelled_caller_stops_its_work_and_waits_for_the_end() -> None:
    """However often it is cancelled."""
    begun, may_end, steps = threading.Event(), threading.Event(), list[str]()

    def work(name: str) -> None:
        begun.set()
        may_end.wait(10)
        steps.append(name)

    calling = asyncio.ensure_future(finished(work, "ended", stop=lambda: steps.append("stopped")))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        calling.cancel()
        await asyncio.wait({calling}, timeout=0.02)
    assert not calling.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert steps == ["stopped", "ended"]


async def test_what_the_work_returns_or_raises_is_the_callers() -> None:
    """As without a thread."""
    assert await finished(int, "7", stop=lambda: None) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await finished(int, "seven", stop=lambda: None)
