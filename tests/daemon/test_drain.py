"""What a drain does for S3: it runs clean-up tasks, rechecks, sweeps, and says what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from sidecar.core.account import Draining, FileClass, row_of
from sidecar.core.model import Observation, State
from sidecar.core.ops import ReportedScene
from sidecar.core.scenes import SceneFacts
from sidecar.daemon import termination_message
from sidecar.daemon.drain import Drain, Remaining
from sidecar.daemon.scene_completion import SceneCompletion
from sidecar.daemon.source import DaemonSource
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.cleanup import CleanupTask
from sidecar.upload.stage import UploadStage
from sidecar.upload.store import ObjectSpec
from sidecar.watch.complete.schedule import Candidate, not_journaled
from tests.status.fake import FakeAway, FakeCandidate, FakeExample, FakeRoot, FakeWatch
from tests.support.clock import ManualClock
from tests.support.journals import identity, route, see
from tests.support.memory_store import MemoryStore
from tests.support.patience import DEADLINE_SECONDS
from tests.upload.rig import Rig, content, lost, rig_on, running

T = TypeVar("T")
GIVEN_UP = CleanupTask(id=99, delete_object=False, key="fixed/film.mp4", upload_id=None, transfer_id="one")


@dataclass(slots=True)
class Scanned(FakeWatch):
    """A watch stage that has seen everything."""


@dataclass(slots=True)
class Asked:
    """What a drain asks the daemon."""

    reader: JournalReader
    watch: FakeWatch = field(default_factory=Scanned)
    remotes: dict[str, object] = field(default_factory=dict)

    async def read(self, question: Callable[[JournalReader], T]) -> T:
        """Ask the journal."""
        return question(self.reader)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Open an upload half over a bucket in memory."""
    async with rig_on(MemoryStore(), tmp_path, bucket="lessons") as opened:
        yield opened


async def drained(
    rig: Rig,
    stage: UploadStage,
    *,
    grace_seconds: float = 30.0,
    asking: Callable[[], bool] = lambda: False,
    watch: FakeWatch | None = None,
) -> Remaining:
    """Drain what S3 is owed; nobody tells Convex anything."""
    reader = JournalReader(rig.journal.db.path, clock=ManualClock())
    source = cast("DaemonSource", Asked(reader, watch or Scanned()))  # as far as a drain goes
    quiet = SceneCompletion(journal=rig.writer, clock=ManualClock(), complete_after_seconds=60.0)
    try:
        return await Drain(
            source=source,
            quiet=quiet,
            cleaner=stage.cleaner,
            grace_seconds=grace_seconds,
            syncing=False,
            asking=asking,
        ).run()
    finally:
        reader.close()


def spec(key: str) -> ObjectSpec:
    """Return the spec of anything."""
    return ObjectSpec(bucket="lessons", key=key, content_type="x/y", cache_control=None, metadata={})


async def superseded(rig: Rig, stage: UploadStage) -> str:
    """Leave an object that is owed its deletion, which fails; returns its key."""
    rig.store.before["head"] = _lose
    old = await rig.file(content(10))
    async with running(stage):
        await rig.until(old, State.UPLOADED)
        new = await rig.file(content(20))
        await rig.until(new, State.UPLOADED)
    return old.key


async def _lose() -> None:
    raise lost()


async def test_a_drain_waits_for_a_debt_that_failed_before(rig: Rig) -> None:
    """It does not wait for the clean-up task's own time, a minute later."""
    stage = rig.stage()
    key = await superseded(rig, stage)
    rig.store.before.clear()
    async with running(stage):
        owed = await drained(rig, stage)
    assert (owed.ops, owed.files) == (0, 0)
    assert isinstance(rig.store.inner, MemoryStore)
    assert key not in rig.store.inner.objects


async def test_a_drain_that_found_nothing_to_clean_leaves_the_last_look_to_the_next_start(rig: Rig) -> None:
    """S3 may carry the request out when the daemon is gone."""
    assert isinstance(rig.store.inner, MemoryStore)
    bucket, stage = rig.store.inner, rig.stage()
    key = await superseded(rig, stage)
    rig.store.before.clear()
    late = bucket.objects.pop(key)
    async with running(stage):
        assert (await drained(rig, stage)).ops == 0
    bucket.objects[key] = late
    rig.journal.upload_claims.void_leases()  # as a start does
    async with running(rig.stage()), asyncio.timeout(DEADLINE_SECONDS):
        while key in bucket.objects:
            await asyncio.sleep(0.01)


async def test_a_drain_says_what_s3_is_still_to_be_cleaned_of(rig: Rig) -> None:
    """S3 does not take it within the grace: the exit status knows."""
    stage = rig.stage()
    await superseded(rig, stage)
    async with running(stage):
        owed = await drained(rig, stage, grace_seconds=0.5)
    assert (owed.ops, owed.files) == (1, 0)


async def test_a_drain_looks_where_a_create_was_given_up_and_sweeps_at_last(rig: Rig) -> None:
    """Both came after everything else was clean."""
    assert isinstance(rig.store.inner, MemoryStore)
    bucket, stage = rig.store.inner, rig.stage()
    transfer = await rig.file(content(10))
    async with running(stage):
        await rig.until(transfer, State.UPLOADED)
        stage.cleaner._rechecks.add(replace(GIVEN_UP, transfer_id=transfer.transfer_id))
        await bucket.create(spec("fixed/film.mp4"))  # only the recheck knows that it is ours
        await bucket.create(spec(transfer.key))  # nothing is to be rechecked
        assert (await drained(rig, stage)).ops == 0
    assert bucket.uploads == {}


async def test_a_drain_that_cannot_look_says_so(rig: Rig) -> None:
    """There may be an upload of ours at S3 that nobody will find before the next start."""
    stage = rig.stage()
    async with running(stage):
        stage.cleaner._rechecks.add(GIVEN_UP)
        rig.store.before["list"] = _lose
        assert (await drained(rig, stage, grace_seconds=0.5)).ops == 1


async def test_a_drain_ends_the_scenes_that_convex_is_still_asked_for(rig: Rig) -> None:
    """They are known with its answer; without one the drain was not clean."""
    stage = rig.stage()
    facts = SceneFacts(complete=False, owed=1, error=None, reason=None)
    scene = ReportedScene(project_id="p", session_id="p/s", scene_id="gone", facts=facts)
    asked = 0

    def asking() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            rig.journal.recovery.recover_scenes([scene], is_last=True)
        return asked < 3

    async with running(stage):
        assert (await drained(rig, stage, asking=asking)).ops == 0
        assert rig.journal.scenes.open_scenes() == []
        assert (await drained(rig, stage, grace_seconds=0.3, asking=lambda: True)).ops == 1


@pytest.mark.parametrize("name", [one for one in FileClass if one.value in {"held", "refused", "misplaced"}])
@pytest.mark.parametrize("is_new", [False, True])
async def test_what_the_journal_does_not_have_makes_a_drain_fail_by_the_table(
    rig: Rig, name: FileClass, is_new: bool
) -> None:
    """Misplaced files only if they changed since the process started: they may be older than this sidecar."""
    root = FakeRoot(examples=[FakeExample("p/s/a.mp4", name, "so it is")])
    watch = FakeWatch(watched=[root], is_new=is_new)
    fails = {Draining.FAILS: True, Draining.FAILS_IF_NEW: is_new}[row_of(name).drain]
    stage = rig.stage()
    async with running(stage):
        owed = await drained(rig, stage, watch=watch)
    assert (owed.unsent, owed.is_clean) == (int(fails), not fails)
    assert list(owed.paths) == ([f"/renders/p/s/a.mp4: {name}: so it is"] if fails else [])


async def test_a_file_that_cannot_be_read_is_counted_once_and_waited_for_no_longer(rig: Rig) -> None:
    """The journal has it as one that settles, the watch stage as refused."""
    row = see(rig.journal)
    assert row is not None
    watch = FakeWatch(
        watched=[FakeRoot(root=row.root, examples=[FakeExample(row.path, FileClass.REFUSED, "so it is")])],
        candidates=[
            FakeCandidate(row.path, "so it is", root=row.root, file_class=FileClass.REFUSED),
        ],
    )
    stage = rig.stage()
    async with running(stage), asyncio.timeout(DEADLINE_SECONDS):
        owed = await drained(rig, stage, watch=watch, grace_seconds=10 * DEADLINE_SECONDS)
    assert (owed.files, owed.waiting, owed.unsent) == (0, 0, 1)
    assert list(owed.paths) == [f"{row.display}: refused: so it is"]


async def test_a_file_that_cannot_be_read_any_more_while_the_journal_is_asked_is_no_clean_end(
    rig: Rig,
) -> None:
    """The watch stage did not count it yet, so that the journal's number must."""
    row = see(rig.journal)
    assert row is not None
    candidate = FakeCandidate(row.path, "it settles", root=row.root).real()
    reader = JournalReader(rig.journal.db.path, clock=ManualClock())

    @dataclass(slots=True)
    class Turning(Asked):
        """A daemon one of whose files becomes unreadable while the journal is asked."""

        async def read(self, question: Callable[[JournalReader], T]) -> T:
            """Ask the journal."""
            candidate.refused = True
            return question(self.reader)

    @dataclass(slots=True)
    class Watching(FakeWatch):
        """A watch stage with this one candidate."""

        def pending(self) -> Sequence[Candidate]:
            """Return it as it is."""
            return [candidate]

    drain = Drain(
        source=cast("DaemonSource", Turning(reader, Watching(watched=[FakeRoot(root=row.root)]))),
        quiet=SceneCompletion(journal=rig.writer, clock=ManualClock(), complete_after_seconds=60.0),
        cleaner=rig.stage().cleaner,
        grace_seconds=1.0,
        syncing=False,
    )
    try:
        remaining = await drain.remaining()
    finally:
        reader.close()
    assert (remaining.files, remaining.is_clean) == (1, False)


async def test_a_file_that_is_not_journaled_yet_is_owed(rig: Rig) -> None:
    """It is being looked at for the first time."""

    @dataclass(slots=True)
    class Watching(FakeWatch):
        """A watch stage that looks at one file."""

        def pending(self) -> Sequence[Candidate]:
            """Return it."""
            seen = Observation(root="/renders", path="p/new.mp4", identity=identity(), route=route())
            return [not_journaled(seen, 0.0)]

    stage = rig.stage()
    async with running(stage):
        owed = await drained(rig, stage, grace_seconds=0.3, watch=Watching())
    assert (owed.files, owed.waiting, owed.is_clean) == (1, 1, False)
    assert list(owed.paths) == ["/renders/p/new.mp4: settling: it was not looked at yet"]


async def test_a_root_that_is_away_is_no_clean_end(rig: Rig) -> None:
    """Nobody can tell what lies in it."""
    away = FakeAway("missing", "the folder does not exist")
    stage = rig.stage()
    async with running(stage):
        owed = await drained(rig, stage, watch=FakeWatch(watched=[FakeRoot(away=away)]))
    assert (owed.away, owed.is_clean) == (1, False)
    assert list(owed.paths) == ["/renders: the folder does not exist"]


def test_last_words_are_left_where_they_are_asked_for(tmp_path: Path) -> None:
    """Into the termination message that is there, within what the kubelet reads; nowhere else."""
    message = tmp_path / "termination-log"
    names = [f"/renders/p/s/{number}.mp4: misplaced: \x1b[2J" + "x" * 100 for number in range(100)]
    termination_message.write_termination_message("100 files", names, at=message)
    assert not message.exists()
    message.write_text("an older message " * 1000)
    termination_message.write_termination_message("100 files", names, at=message)
    text = message.read_text()
    assert len(text.encode()) <= 4096
    assert text.startswith("100 files\n/renders/p/s/0.mp4: misplaced: \\u001b")
    assert text.splitlines()[-1].startswith("... and ")
    (tmp_path / "link").symlink_to(message)
    termination_message.write_termination_message("through a link", [], at=tmp_path / "link")
    assert message.read_text() == text
