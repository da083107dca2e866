"""A file that is complete when it is first seen is written once, and is what two steps would make of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import AssetType, Fingerprint, Observation, Route, State, StatIdentity
from sidecar.journal.db.connection import Topic
from sidecar.journal.journal import Journal
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, TAG, identity, ready, route, see, ship, tell

TABLES = ("transfers", "files", "counts", "present", "scenes", "sessions", "outbox", "roots")
Found = Sequence[tuple[Observation, Fingerprint]]


def open_alike(folder: Path) -> Journal:
    """Open a journal that draws what another one would."""
    folder.mkdir()
    drawn = itertools.count(1)
    chance: Callable[[int], bytes] = lambda size: next(drawn).to_bytes(size)  # noqa: E731 - of a few letters
    return Journal(folder / "journal.db", tag=TAG, bucket="lessons", clock=ManualClock(), chance=chance)


def found(
    at: Route, n: int = 1, *, text: str = "a", path: str | None = None
) -> tuple[Observation, Fingerprint]:
    """Return a file as it is seen, and its content."""
    looks = StatIdentity(inode=(1 << 63) + n, size_bytes=10 + n, mtime_ns=n * 1000, ctime_ns=n * 1000)
    where = path or f"demo/lesson/{at.slot.entity_id}/{at.slot.name}"
    seen = Observation(root=ROOT, path=where, identity=looks, route=at, home="device 1")
    media = MediaFacts(width=640) if at.slot.asset_type is AssetType.THUMBNAIL else None
    return seen, Fingerprint(identity=looks, checksum=f"crc64nvme:{text}", media=media)


def at_once(journal: Journal, files: Found) -> None:
    """Observe files whose content is known."""
    results = journal.files.observe([seen for seen, _ in files], {n: of for n, (_, of) in enumerate(files)})
    assert not any(result.candidate for result in results)


def in_two_steps(journal: Journal, files: Found) -> None:
    """Observe files, and complete them, in one transaction."""
    with journal.db.atomic():
        results = journal.files.observe([seen for seen, _ in files])
        journal.completion.complete_all(
            [
                (result.candidate.row_id, of)
                for result, (_, of) in zip(results, files, strict=True)
                if result.candidate is not None
            ]
        )


def left(journal: Journal) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is in a journal, and what it said; ids of ops are drawn."""
    tables = {name: _rows(journal, f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}  # noqa: S608 - our own words
    tables["outbox"] = _rows(journal, "SELECT kind, state, slot, transfer, body FROM outbox ORDER BY seq")
    tables["events"] = _rows(
        journal, "SELECT at_ms, transfer, event, detail FROM events ORDER BY transfer, id"
    )
    return {**tables, "log": sorted(map(tuple, journal.db.transitions), key=str)}


def _rows(journal: Journal, question: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in journal.db.execute(question)]


FILES = [
    found(route("chunk_001.mp4")),
    found(route("chunk_002.mp4"), 2),
    found(route("chunk_001.png", kind=AssetType.THUMBNAIL), 3),
    found(route("other.mp4", scene="s2"), 4),
    found(route("all.mp4", kind=AssetType.COMBINED_VIDEO), 5),
    found(route("manifest.json", kind=AssetType.MANIFEST), 6),
]


@pytest.mark.parametrize("is_recovering", [False, True])
def test_nobody_can_tell_it_from_two_steps(tmp_path: Path, *, is_recovering: bool) -> None:
    """Rows, events, counts, scenes and log lines are the same; in a first scan each awaits its lookup."""
    one, two = open_alike(tmp_path / "one"), open_alike(tmp_path / "two")
    for journal, take in ((one, at_once), (two, in_two_steps)):
        if is_recovering:
            journal.recovery.begin_recovery()
        journal.db.topics.clear()
        take(journal, FILES)
    assert left(one) == left(two)
    states = {row[0] for row in one.db.execute("SELECT state FROM transfers")}
    assert states == {State.READY}
    assert one.db.topics >= {Topic.SCENES, Topic.LOOKUPS if is_recovering else Topic.UPLOADS}


def test_what_had_a_transfer_takes_the_steps_that_it_took(tmp_path: Path) -> None:
    """New content of a file, the same again, and a file whose slot is forgotten here but was sent once."""
    one, two = open_alike(tmp_path / "one"), open_alike(tmp_path / "two")
    for journal, take in ((one, at_once), (two, in_two_steps)):
        for name in ("new.mp4", "same.mp4", "back.mp4"):
            ship(journal, ready(journal, "a", at=route(name)))
        tell(journal)
        waits = ready(journal, "a", at=route("waits.mp4"))
        journal.db.execute("DELETE FROM files WHERE name = 'back.mp4'")
        journal.db.transitions.clear()
        take(
            journal,
            [
                found(route("new.mp4"), 2, text="b"),
                found(route("same.mp4"), 2, text="a"),
                found(route("waits.mp4"), 2, text="b"),
                found(route("back.mp4"), 2, text="b"),
            ],
        )
        assert journal.transfers.one(waits.row_id).state is State.SUPERSEDED
    assert left(one) == left(two)


def test_a_candidate_that_is_known_already_is_completed(tmp_path: Path) -> None:
    """Its row goes on: a path has one candidate."""
    journal = Journal(tmp_path / "journal.db", tag=TAG, bucket="lessons", clock=ManualClock())
    candidate = see(journal)
    assert candidate is not None
    at_once(journal, [found(route())])
    assert journal.transfers.one(candidate.row_id).state is State.READY
    assert journal.transfers.one(candidate.row_id).identity == found(route())[1].identity


def test_of_two_files_of_a_slot_one_is_taken_and_one_refused(tmp_path: Path) -> None:
    """Also where both come at once, and both are complete."""
    journal = Journal(tmp_path / "journal.db", tag=TAG, bucket="lessons", clock=ManualClock())
    files = [found(route()), found(route(), 2, path="elsewhere/chunk_001.mp4")]
    first, second = journal.files.observe(
        [seen for seen, _ in files], {n: of for n, (_, of) in enumerate(files)}
    )
    assert (first.candidate, first.refused) == (None, None)
    assert "its slot belongs to" in (second.refused or "")
    assert [row[0] for row in journal.db.execute("SELECT state FROM transfers")] == [State.READY]


def test_what_is_remembered_is_how_it_looked_when_it_was_read(tmp_path: Path) -> None:
    """It changed after the listing: the next one must not take it for new, nor miss a change since."""
    journal = Journal(tmp_path / "journal.db", tag=TAG, bucket="lessons", clock=ManualClock())
    seen, content = found(route())
    read = Fingerprint(identity=identity(9), checksum=content.checksum)
    journal.files.observe([seen], {0: read})
    folder, name = seen.path.rpartition("/")[::2]
    assert journal.files.known(ROOT, folder)[name].identity == identity(9)
    again = Observation(root=ROOT, path=seen.path, identity=identity(9), route=seen.route)
    assert journal.files.observe([again])[0].candidate is None
    assert journal.files.observe([seen])[0].candidate is not None
