"""The way of one film through the daemon, as ``python -m tests.walk`` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.walk import TracedSystem, Walk, small_film, told, walk, without


@pytest.fixture
def traced(tmp_path: Path, seaweed: SeaweedServer, convex_server: ConvexServer) -> Iterator[TracedSystem]:
    """Set up a daemon whose calls are noted."""
    convex_server.control("reset", {})
    system = TracedSystem(tmp_path, seaweed, convex_server)
    yield system
    if system.process:
        system.stop()


def test_the_way_of_a_film_leads_through_the_stages_in_turn(traced: TracedSystem, tmp_path: Path) -> None:
    """What runs without it is left out; the film arrives all the same."""
    film = small_film(tmp_path)
    way = walk(traced, film, idle_seconds=1.5)  # its first call is looked at after 0.5
    assert list(traced.objects().values()) == [film]
    folders = [file.partition("/")[0] for file, _ in way.steps]
    firsts = [folders.index(folder) for folder in ("watch", "journal", "upload")]
    assert firsts == sorted(firsts)
    assert {"core", "sync"} <= set(folders)
    assert not {"cli", "settings", "status"} & set(folders)


def test_a_return_is_a_file_that_was_left_before() -> None:
    """Functions of one file in a row are one visit."""
    steps = [("a.py", "f"), ("a.py", "g"), ("idle.py", "beat"), ("b.py", "h"), ("a.py", "i"), ("b.py", "k")]
    way = without([("idle.py", "beat")], steps)
    assert way.numbers() == {"files": 2, "functions": 5, "returns": 2}
    assert told(way)[-1] == "2 files, 5 functions, 2 returns to a file already left"
    assert told(way).count("a.py (again)") == told(way).count("b.py (again)") == 1


def test_a_file_that_stays_where_it_is_has_no_returns() -> None:
    """However many functions."""
    assert Walk(steps=(("a.py", "f"), ("a.py", "g"))).numbers()["returns"] == 0
