"""What a listing costs where all files are known and unchanged: counted, no clock is looked at."""

from __future__ import annotations

import functools
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from sidecar.core.presets import LESSON
from sidecar.core.routing import Router
from sidecar.core.rules import Ids, Root
from sidecar.journal.journal import Journal
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.known import KnownFolders
from sidecar.journal.writer import JournalWriter
from sidecar.local.bench.filling import FILES, MachineClock, fill, path, written
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.scan import root_scan
from sidecar.watch.scan.classify import Classifier, ListingBatch, classify_listing
from sidecar.watch.scan.listing import list_folder
from sidecar.watch.scan.playlists import Playlists
from sidecar.watch.scan.root_scan import Scanner
from tests.support.journals import TAG

FOLDERS = 5
COUNT = FOLDERS * FILES
ALL_FOLDERS = 3 + 2 * FOLDERS  # the root, the project, the session; each scene, and its folder


class Library:
    """A root whose files were all synced, and the journal that knows them."""

    def __init__(self, folder: Path) -> None:
        """Write the files."""
        self.root = folder / "renders"
        self.taken, self.spent_seconds = list[ListingBatch](), 0.0
        self.journal = Journal(folder / "journal.db", tag=TAG, bucket="lessons", clock=MachineClock())
        fill(self.journal, str(self.root), written(self.root, COUNT, first=0))

    def file(self, n: int) -> Path:
        """Return the n-th file."""
        return self.root / path(n)

    async def list(self) -> ListingBatch:
        """List all of it; return what the listing brought."""
        root, threads = str(self.root), WorkerThreads(1)
        router = Router(roots=[Root(path=root)], rules=LESSON, ids=Ids())
        self.taken = []
        try:
            async with JournalWriter(self.journal) as writer:
                walked = await Scanner(
                    root=root,
                    classifier=Classifier(root=root, router=router, playlists=Playlists(root, router, {})),
                    journal=writer,
                    threads=threads,
                    take=self._take,
                    is_watched=lambda *_: True,
                ).scan(None)
                self.spent_seconds = walked.spent_seconds
        finally:
            threads.close()
        whole = ListingBatch()
        for batch in self.taken:
            whole.observations += batch.observations
            whole.spared += batch.spared
        return whole

    async def _take(self, batch: ListingBatch) -> None:
        self.taken.append(batch)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return one that nobody has listed yet."""
    return Library(tmp_path)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls, of Python's functions and of C's, in threads that are made in this block."""
    calls = Counter[str]()

    def note(frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
            calls["python"] += 1
        elif event == "c_call":
            calls[what.__qualname__] += 1

    threading.setprofile(note)
    try:
        yield calls
    finally:
        threading.setprofile(None)


async def test_a_file_that_is_known_costs_one_stat_and_one_call(library: Library) -> None:
    """No object is made of it, no rule is asked, nothing is taken anywhere."""
    with counted() as calls:
        found = await library.list()
    assert (found.observations, found.spared) == ([], [])
    assert calls["DirEntry.stat"] == COUNT + ALL_FOLDERS - 1  # the root is nobody's entry
    assert calls["python"] < COUNT + 50 * ALL_FOLDERS
    assert calls["Router.route"] == 0


async def test_what_the_journal_takes_counts_as_a_listings_cost(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listings are spaced by what they cost, in whichever thread."""
    known_rows = Files.known_rows

    @functools.wraps(known_rows)
    def slow(*given: Any) -> KnownFolders:
        return known_rows(*given)._replace(cpu_seconds=1000.0)

    monkeypatch.setattr(Files, "known_rows", slow)
    await library.list()
    assert library.spent_seconds > 1000.0


def test_our_own_files_are_never_listed(tmp_path: Path) -> None:
    """Whatever letters their names have."""
    for name in (".sidecar-a.mp4", ".sidecar-é.mp4", "é.mp4", "a.mp4"):
        (tmp_path / name).touch()
    assert sorted(list_folder(str(tmp_path), "").files) == ["a.mp4", "é.mp4"]


async def test_a_folder_that_is_known_costs_one_statement(library: Library) -> None:
    statements = list[str]()
    library.journal.db.conn.set_trace_callback(statements.append)
    await library.list()
    asked = [text for text in statements if "FROM files" in text]
    assert len(asked) <= ALL_FOLDERS + 3


@pytest.fixture(params=["whole folders", "folders in pieces"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """List folders whole, or as if they held very many files."""
    if request.param == "folders in pieces":
        monkeypatch.setattr(root_scan, "FILES_PER_BATCH", FILES // 4)


@pytest.mark.usefixtures("at_once")
async def test_what_differs_in_anything_is_looked_at(library: Library) -> None:
    """Size, time, inode, name: a file that is not the very same is told, and so is one that is gone."""
    library.file(0).write_bytes(b"more")
    library.file(1).touch()
    was = library.file(2)
    moved = was.with_name("moved.mp4")
    was.rename(moved)
    other = library.file(3)
    copy = other.with_name("copy.mp4")
    copy.touch()
    copy.rename(other)
    library.file(4).chmod(0o600)  # its ctime alone
    library.file(5).unlink()
    library.file(5).mkdir()  # something else has its name
    found = await library.list()
    differing = {path(n) for n in (0, 1, 3, 4)} | {str(moved.relative_to(library.root))}
    assert {one.path for one in found.observations} == differing
    assert sorted(found.spared) == [path(2), path(5)]


async def test_a_folder_of_very_many_files_is_compared_in_pieces(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its listing nor what is known of it is in memory as a whole; no descriptor is left."""
    monkeypatch.setattr(root_scan, "FILES_PER_BATCH", 10)
    sizes, known = list[int](), list[int]()
    compare = classify_listing

    def seen(*given: Any) -> Iterator[ListingBatch]:
        sizes.append(len(given[1].files))
        known.append(len(given[2]))
        return compare(*given)

    monkeypatch.setattr(root_scan, "classify_listing", seen)
    found = await library.list()
    assert (found.observations, found.spared) == ([], [])
    assert (sum(sizes), sum(known)) == (COUNT, COUNT)
    assert max(sizes) == max(known) == 10
    assert not [one for one in os.scandir("/proc/self/fd") if _leads_to(one.path, library.root)]


def _leads_to(descriptor: str, folder: Path) -> bool:
    try:
        return Path(descriptor).readlink().is_relative_to(folder)
    except FileNotFoundError:  # that of the listing of descriptors itself
        return False
