"""The lease file itself, on a real disk."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.lease_record import (
    LeaseRecord,
    LeaseTiming,
    LockDomain,
    UnchangedCount,
    is_holder_dead,
    parse,
)
from sidecar.watch.os.filesystem import LEASE_NAME
from sidecar.watch.ownership import lease_file
from sidecar.watch.ownership.lease_file import NOT_A_FILE, BeatOutcome, LeaseFile

OURS = LockDomain(boot="b-1", device=7)
RECORD = LeaseRecord(
    holder="h", beat=8, sidecar="sc-1", host="node-1", pid=12, boot="b-1", device=7, flocked=True
)
BEATS = RECORD.bytes(), RECORD.next().bytes()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LeaseFile]:
    """Open a folder of its own."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield LeaseFile(fd)
    os.close(fd)


def test_a_claim_is_longer_than_a_tenure_and_a_tenure_than_a_beat() -> None:
    """The rules rest on it: whoever claims waits until nobody else can act."""
    pace = LeaseTiming()
    assert pace.beat * 2 < pace.term < pace.claim
    assert pace.still * pace.beat > pace.claim


def test_a_record_is_what_was_written_and_as_long_as_the_next() -> None:
    """A beat is written over the one before."""
    assert parse(RECORD.bytes()) == RECORD
    assert len({len(content) for content in BEATS}) == 1
    assert RECORD.display() == "sc-1 on node-1, process 12"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b'{"holder": 1}', b"null"])
def test_what_is_no_record_is_somebodys_all_the_same(content: bytes) -> None:
    """Its holder is unknown, not dead."""
    assert parse(content) is None
    assert not is_holder_dead(content, OURS)


def test_names_in_a_record_are_short_and_on_one_line() -> None:
    """Whoever may write into the folder wrote them."""
    evil = parse(replace(RECORD, sidecar="a\nb\x1b" + "x" * 500).bytes())
    assert evil is not None
    assert evil.display().startswith("a?b?xxx")
    assert len(evil.display()) < 140


def test_only_the_holder_of_the_flock_that_we_hold_is_dead() -> None:
    """Elsewhere, or without a flock, its silence proves nothing."""
    assert is_holder_dead(RECORD.bytes(), OURS)
    others: list[dict[str, Any]] = [{"boot": "b-2"}, {"device": 8}, {"flocked": False}]
    for other in others:
        assert not is_holder_dead(replace(RECORD, **other).bytes(), OURS)


def test_a_vigil_begins_anew_with_every_beat() -> None:
    """However long it lasted."""
    vigil = UnchangedCount(content=BEATS[0])
    for _ in range(5):
        vigil = vigil.seen(BEATS[0])
    assert (vigil.looks, vigil.seen(BEATS[1]).looks) == (6, 1)


def test_only_one_can_create_it(file: LeaseFile, tmp_path: Path) -> None:
    """And only its own content is removed."""
    assert file.read() is None
    assert file.create(BEATS[0])
    assert not file.create(BEATS[1])
    file.remove(BEATS[1])
    assert file.read() == BEATS[0]
    file.remove(BEATS[0])
    assert list(tmp_path.iterdir()) == []


def test_a_beat_that_comes_late_changes_nothing(file: LeaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a holder's look and its write another has taken the folder over: it does not notice."""
    write, other = lease_file._write, RECORD.bytes().replace(b"sc-1", b"sc-2")
    file.create(BEATS[0])

    def taken_over_before(fd: int, content: bytes) -> None:
        monkeypatch.setattr(lease_file, "_write", write)
        file.replace(other)
        write(fd, content)

    monkeypatch.setattr(lease_file, "_write", taken_over_before)
    assert file.beat(BEATS[:1], BEATS[1]) is BeatOutcome.DONE
    assert file.read() == other
    assert file.beat(BEATS, BEATS[1]) is BeatOutcome.OTHER


def test_a_beat_says_what_it_met(file: LeaseFile) -> None:
    """Also where an earlier one failed after it was written."""
    assert file.beat(BEATS, BEATS[1]) is BeatOutcome.NOTHING
    file.create(BEATS[1])
    assert file.beat(BEATS, BEATS[1]) is BeatOutcome.DONE
    assert file.beat(BEATS[:1], BEATS[1]) is BeatOutcome.OTHER


def test_a_link_a_pipe_and_a_socket_in_its_place_are_nobodys_heartbeat(
    file: LeaseFile, tmp_path: Path
) -> None:
    """They are neither followed nor waited for, and a takeover puts a file in their place."""
    secret, place = tmp_path / "secret", tmp_path / LEASE_NAME
    secret.write_bytes(b"secret")
    makers: list[Callable[[], object]] = [
        lambda: place.symlink_to(secret),
        lambda: os.mkfifo(place),
        lambda: _bind(place),
    ]
    for make in makers:
        make()
        assert file.read() == NOT_A_FILE
        assert file.beat(BEATS, BEATS[0]) is BeatOutcome.OTHER
        assert not file.create(BEATS[0])
        file.replace(BEATS[0])
        assert file.read() == BEATS[0]
        file.remove(BEATS[0])
    assert secret.read_bytes() == b"secret"


def test_a_takeover_that_fails_or_is_killed_leaves_nothing(
    file: LeaseFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill left is cleared by the next holder."""

    def fail(_fd: int, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lease_file, "_write", fail)
        for attempt in (file.create, file.replace):
            with pytest.raises(OSError, match="No space"):
                attempt(BEATS[0])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"{LEASE_NAME}.0123").touch()
    file.clear_drafts()
    assert list(tmp_path.iterdir()) == []


def _bind(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
