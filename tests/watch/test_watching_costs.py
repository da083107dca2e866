"""What watching a tree costs: counted, no clock is looked at."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.watch.events import directories, inotify_thread
from sidecar.watch.events.directories import folder_inodes
from sidecar.watch.events.inotify_thread import (
    POLL_MS,
    QUIET_POLLS,
    QUIET_STEP_MS,
    RETIRED_STEPS,
    STEP_MS,
    InotifyThread,
)

Answer = str | set[tuple[int, str]]
SILENCE: list[Answer] = ["timeout"]
CHANGE: Answer = {(1, "/renders/one.mp4")}


class Script:
    """Stands for watchfiles: says what it is told to, and notes at which steps it was polled."""

    def __init__(self, answers: Iterator[Answer]) -> None:
        """Each answer is what one wait brings."""
        self._answers, self.steps, self.over = answers, list[int](), threading.Event()

    def watch(self, debounce_ms: int, step_ms: int, timeout_ms: int, ends: Any) -> Answer:  # noqa: ARG002 - as watchfiles has it
        """Answer at once; raise at the end of the script."""
        assert timeout_ms == POLL_MS
        self.steps.append(step_ms)
        try:
            return next(self._answers)
        except StopIteration:
            raise RuntimeError("the script is over") from None

    def close(self) -> None:
        """End."""
        self.over.set()


def polled(monkeypatch: pytest.MonkeyPatch, answers: list[Answer]) -> list[int]:
    """Return the steps at which a tree was polled that said so."""
    script, failed = Script(iter(answers)), list[BaseException]()
    monkeypatch.setattr(inotify_thread, "_start_watcher", lambda _: script)
    thread = InotifyThread(["/renders"], take=lambda _: None, fail=failed.append)
    thread.start()
    thread.join()
    assert [str(error) for error in failed] == ["the script is over"]
    return script.steps


def test_a_tree_is_polled_less_often_once_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll costs CPU that the renderer needs."""
    steps = polled(monkeypatch, SILENCE * QUIET_POLLS)
    assert steps == [STEP_MS] * QUIET_POLLS + [QUIET_STEP_MS]
    assert QUIET_STEP_MS >= 4 * STEP_MS


def test_it_is_polled_as_before_from_the_first_event_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first file after a silence is noticed some hundredths of a second later."""
    steps = polled(monkeypatch, [*SILENCE * QUIET_POLLS, CHANGE, *SILENCE])
    assert steps[-3:] == [QUIET_STEP_MS, STEP_MS, STEP_MS]


class Stepping(Script):
    """Waits as watchfiles does: asks at each step whether to end, hands over what it caught two later."""

    def __init__(self, caught: Answer) -> None:
        """It has caught that from the second wait on."""
        super().__init__(iter([CHANGE]))
        self._caught: list[Answer] = [caught]
        self.waits, self.retired, self.asked = threading.Event(), threading.Event(), 0

    def watch(self, debounce_ms: int, step_ms: int, timeout_ms: int, ends: Any) -> Answer:
        """Step without sleeping."""
        if self._caught and not self.waits.is_set():
            self.waits.set()
            return super().watch(debounce_ms, step_ms, timeout_ms, ends)
        self.retired.wait()
        for self.asked in range(1, 100):
            if ends.is_set():
                return "stop"
            if self._caught and self.asked == 2:
                return self._caught.pop()
        return "timeout"


def test_a_retired_watcher_hands_over_what_it_caught_and_tells_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one tells of what comes later: each of both would have it looked at."""
    caught: Answer = {(1, "/renders/two.mp4")}
    script, taken, failed = Stepping(caught), list[Answer](), list[BaseException]()
    monkeypatch.setattr(inotify_thread, "_start_watcher", lambda _: script)
    thread = InotifyThread(["/renders"], take=taken.append, fail=failed.append)
    thread.start()
    script.waits.wait()
    thread.retire()
    script.retired.set()
    thread.join()
    assert (taken, failed, script.over.is_set()) == ([CHANGE, caught], [], True)
    assert script.asked == RETIRED_STEPS + 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a root with a folder in a folder, and files in both."""
    (tmp_path / "p" / "s").mkdir(parents=True)
    for folder in ("p", "p/s"):
        (tmp_path / folder / "file.mp4").touch()
    return tmp_path


def read_folders(monkeypatch: pytest.MonkeyPatch, root: Path, *, kind: str) -> tuple[list[str], int]:
    """Return the folders that are found in a root of such a file system, and how many of them are read."""
    read, scandir = list[int](), os.scandir

    def scanned(fd: int) -> Any:
        read.append(fd)
        return scandir(fd)

    monkeypatch.setattr(directories, "kind_of", lambda _: kind)
    monkeypatch.setattr(os, "scandir", scanned)
    return sorted(folder_inodes(str(root))), len(read)


def test_a_folder_without_folders_is_not_read_for_its_watch(
    monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    """It holds the files, a million of them maybe; its number of links says that there is nothing else."""
    assert read_folders(monkeypatch, tree, kind="ext4") == (["", "p", "p/s"], 2)


def test_links_are_not_believed_where_they_may_not_be_counted(
    monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    """Some file systems say 2 of every folder."""
    real = os.fstat

    def two_links(fd: int) -> os.stat_result:
        mode, inode, device, _, *rest = real(fd)
        return os.stat_result((mode, inode, device, 2, *rest))

    monkeypatch.setattr(os, "fstat", two_links)
    assert read_folders(monkeypatch, tree, kind="exfat") == (["", "p", "p/s"], 3)
