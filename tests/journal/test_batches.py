"""Which ops of which sessions are claimed together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.ops import Registration
from sidecar.core.unknown_entities import ITSELF, Unknown
from sidecar.journal.journal import Journal
from tests.support.journals import claim, open_journal, ready, route, ship

EPOCH = 1


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that Convex knows, with two files of each of three sessions uploaded, in turns."""
    opened = open_journal(tmp_path)
    opened.batches.registered(Registration(epoch=EPOCH, last_seq=0, contract_version=1))
    for n in range(6):
        uploaded(opened, f"{n}.mp4", session=f"demo/{'bca'[n % 3]}")
    yield opened
    opened.close()


def uploaded(journal: Journal, name: str, *, session: str, project: str = "demo", scene: str = "s1") -> None:
    """Bring a file of a session to uploaded: its op is in the outbox, and its scene's facts are."""
    at = route(name, scene=scene)
    at = replace(at, slot=replace(at.slot, session_id=session), project_id=project, key=f"{session}/{name}")
    ship(journal, ready(journal, name, at=at))


def test_the_ops_of_several_sessions_are_claimed_at_once(journal: Journal) -> None:
    """A call for each, the one with the oldest op first."""
    claimed = journal.batches.claim_batches(limit=100, now=0, sessions_max=8)
    assert [batch.session_id for batch in claimed.batches] == ["demo/b", "demo/c", "demo/a"]
    assert [len(batch.ops) for batch in claimed.batches] == [3, 3, 3]
    assert claimed.is_all


def test_who_is_left_out_is_told(journal: Journal) -> None:
    """Whether for want of a place, or because a call holds no more."""
    claimed = journal.batches.claim_batches(limit=100, now=0, sessions_max=2)
    assert ([batch.session_id for batch in claimed.batches], claimed.is_all) == (["demo/b", "demo/c"], False)
    claimed = journal.batches.claim_batches(limit=2, now=0, busy=["demo/b", "demo/c"], sessions_max=2)
    assert ([batch.session_id for batch in claimed.batches], claimed.is_all) == (["demo/a"], False)


def test_a_call_is_of_one_project(journal: Journal) -> None:
    """A session that moved to another project is told of each by itself, in order."""
    uploaded(journal, "x.mp4", session="demo/a", project="other")
    projects = []
    while (batch := claim(journal)) is not None:
        projects.append((batch.session_id, batch.project_id))
    assert projects[2:] == [("demo/a", "demo"), ("demo/a", "other")]


def test_what_was_sent_of_any_session_is_remembered(journal: Journal) -> None:
    """Or the next start would take this journal for an old copy."""
    claimed = journal.batches.claim_batches(limit=100, now=0, sessions_max=8)
    last_seq = max(op.seq for batch in claimed.batches for op in batch.ops)
    assert claimed.batches[-1].ops[-1].seq == last_seq
    assert claimed.batches[0].ops[-1].seq < last_seq
    journal.batches.registered(Registration(epoch=EPOCH, last_seq=last_seq, contract_version=1))


def test_of_an_unknown_session_nothing_goes_before_its_time_and_then_one_op(journal: Journal) -> None:
    """However many wait for it; the other sessions go on, and somebody looks again in time."""
    unknown = {"demo/c": {ITSELF: Unknown(due=5.0, asked=3, why="not made")}}
    claimed = journal.batches.claim_batches(limit=100, now=1, sessions_max=8, unknown=unknown)
    assert [batch.session_id for batch in claimed.batches] == ["demo/b", "demo/a"]
    assert claimed.due == 5.0
    claimed = journal.batches.claim_batches(limit=100, now=5, sessions_max=8, unknown=unknown)
    assert [(batch.session_id, len(batch.ops)) for batch in claimed.batches] == [("demo/c", 1)]


def test_an_unknown_scene_keeps_no_other_of_its_session_back(journal: Journal) -> None:
    """Its own ops wait; once one may ask it is the oldest, beside all of the others."""
    for name in ("x.mp4", "y.mp4"):
        uploaded(journal, name, session="demo/a", scene="unmade")
    unknown = {"demo/a": {"unmade": Unknown(due=5.0, asked=1, why="not made")}}
    claimed = journal.batches.claim_batches(limit=100, now=1, sessions_max=8, unknown=unknown)
    scenes = {batch.session_id: [op.scene_id for op in batch.ops] for batch in claimed.batches}
    assert scenes["demo/a"] == ["s1"] * 3
    seqs = [op.seq for batch in claimed.batches for op in batch.ops]
    journal.batches.release_ops(seqs)
    claimed = journal.batches.claim_batches(limit=100, now=5, sessions_max=8, unknown=unknown)
    [ops] = [batch.ops for batch in claimed.batches if batch.session_id == "demo/a"]
    assert [op.scene_id for op in ops] == ["s1", "s1", "s1", "unmade"]
    oldest = journal.db.execute("SELECT min(seq) AS seq FROM outbox WHERE scene_id = 'unmade'").fetchone()
    assert ops[-1].seq == oldest["seq"]
