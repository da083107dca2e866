"""The journal is not asked again for what neither it nor the disk changed; all else is found as ever."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.core.findings import Finding
from sidecar.core.presets import LESSON
from sidecar.core.routing import Router
from sidecar.core.rules import Ids, Root
from sidecar.journal.journal import Journal
from sidecar.journal.stores.files import Files
from sidecar.journal.writer import JournalWriter
from sidecar.local.bench.filling import FILES, MachineClock, fill, path, written
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.scan import listing_costs, root_scan
from sidecar.watch.scan.classify import Classifier, ListingBatch
from sidecar.watch.scan.listing_costs import Unchanged
from sidecar.watch.scan.playlists import Playlists
from sidecar.watch.scan.root_scan import Scanner
from tests.support.journals import TAG

FOLDERS = 3
ALL_FOLDERS = 3 + 2 * FOLDERS


class Idle:
    """A root whose files were all synced; it was listed once."""

    def __init__(self, root: Path, writer: JournalWriter, threads: WorkerThreads) -> None:
        """Begin; ``list`` lists."""
        self.root, self.writer, self.asked = root, writer, list[str]()
        self.observed, self.spared, self.found = list[str](), list[str](), list[Finding]()
        self.known = Unchanged()
        router = Router(roots=[Root(path=str(root))], rules=LESSON, ids=Ids())
        self._scanner = Scanner(
            root=str(root),
            classifier=Classifier(root=str(root), router=router, playlists=Playlists(str(root), router, {})),
            journal=writer,
            threads=threads,
            take=self._take,
            is_watched=lambda *_: True,
            unchanged=self.known,
        )

    async def list(self) -> None:
        """List all of it; what it brings is left for the next time as well."""
        for gathered in (self.asked, self.observed, self.spared, self.found):
            gathered.clear()
        await self._scanner.scan(None)

    async def _take(self, batch: ListingBatch) -> None:
        self.observed += sorted(one.path for one in batch.observations)
        self.spared += sorted(batch.spared)
        self.found += [one.finding for one in batch.examples]

    def note(self, statement: str) -> None:
        """Note which folders' files the journal is asked for."""
        if "json_array(name, inode" in statement:
            self.asked.append(statement)

    def file(self, n: int) -> Path:
        """Return the n-th file."""
        return self.root / path(n)


@pytest.fixture
async def idle(tmp_path: Path) -> AsyncIterator[Idle]:
    """Return one that was listed."""
    root, threads = tmp_path / "renders", WorkerThreads(1)
    journal = Journal(tmp_path / "journal.db", tag=TAG, bucket="lessons", clock=MachineClock())
    fill(journal, str(root), written(root, FOLDERS * FILES, first=0))
    try:
        async with JournalWriter(journal) as writer:
            idle = Idle(root, writer, threads)
            journal.db.conn.set_trace_callback(idle.note)
            await idle.list()
            assert len(idle.asked) == ALL_FOLDERS
            yield idle
            journal.db.conn.set_trace_callback(None)
    finally:
        threads.close()


async def test_what_is_as_it_was_is_not_asked_for_again(idle: Idle) -> None:
    """Nothing was written to the journal, and no file looks otherwise: a stat of each is all."""
    await idle.list()
    assert (idle.asked, idle.observed, idle.spared) == ([], [], [])


async def test_what_differs_on_the_disk_is_found(idle: Idle) -> None:
    """New, changed, touched, renamed, gone: in a folder that was as the journal knew it."""
    idle.file(0).write_bytes(b"more")
    idle.file(FILES).chmod(0o600)  # its ctime alone
    gone = idle.file(2 * FILES)
    gone.rename(gone.with_name("moved.mp4"))
    await idle.list()
    moved = str(gone.with_name("moved.mp4").relative_to(idle.root))
    assert idle.observed == sorted([path(0), path(FILES), moved])
    assert idle.spared == [path(2 * FILES)]
    assert len(idle.asked) == FOLDERS


async def test_a_folder_that_is_gone_is_found(idle: Idle) -> None:
    """It lists nothing at all."""
    idle.file(0).parent.rename(idle.root / "elsewhere")
    await idle.list()
    assert idle.spared == sorted(path(n) for n in range(FILES))


async def test_what_differs_in_the_journal_is_found(idle: Idle) -> None:
    """A row that is another one, or is no more: whoever wrote it, and wherever."""
    await idle.writer.run(
        lambda journal: journal.db.execute("UPDATE files SET size = 7 WHERE name = 'chunk_000.mp4'")
    )
    await idle.list()
    assert idle.observed == [path(n * FILES) for n in range(FOLDERS)]


async def test_it_goes_on_differing_until_the_journal_knows_it(idle: Idle) -> None:
    """A listing that brought something makes nothing known."""
    idle.file(0).write_bytes(b"more")
    for _ in range(2):
        await idle.list()
        assert idle.observed == [path(0)]


async def test_what_is_no_file_is_told_by_each_listing(idle: Idle) -> None:
    """The counts of what is not sent are of the last one."""
    (idle.file(0).parent / "link.mp4").symlink_to(idle.file(1))
    for _ in range(2):
        await idle.list()
        assert idle.found == [Finding.REFUSED]
    assert idle.asked == []


async def test_what_was_written_while_it_was_listed_counts_from_the_next_listing_on(
    idle: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is of before the first question, so that nothing falls between."""
    known_rows = Files.known_rows

    @functools.wraps(known_rows)
    def change_after(files: Files, *given: object) -> object:
        known = known_rows(files, *given)  # type: ignore[arg-type]
        files._db.execute("UPDATE files SET size = 7 WHERE name = 'chunk_000.mp4'")
        return known

    idle.file(0).touch()
    monkeypatch.setattr(Files, "known_rows", change_after)
    await idle.list()
    monkeypatch.undo()
    await idle.list()
    assert idle.observed == [path(n * FILES) for n in range(FOLDERS)]


async def test_a_folder_that_is_listed_in_pieces_is_always_asked_for(
    idle: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No piece says how many there are."""
    monkeypatch.setattr(root_scan, "FILES_PER_BATCH", FILES // 4)
    await idle.list()
    await idle.list()
    assert len(idle.asked) == FOLDERS * 4
    assert (idle.observed, idle.spared) == ([], [])


async def test_so_many_are_remembered(idle: Idle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many folders the others are asked for."""
    monkeypatch.setattr(listing_costs, "FOLDERS_KEPT", 2)
    idle.known.begin(-2)
    for _ in range(2):
        await idle.list()
        assert (idle.observed, idle.spared) == ([], [])
    assert len(idle.asked) == ALL_FOLDERS - 2
