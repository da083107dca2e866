"""The account's table, and what keeps a misplaced file from the rule that is nearest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import presets
from sidecar.core.account import TABLE, Draining, FileClass, Shown, Waiting, class_of, row_of, table
from sidecar.core.model import Route, State
from sidecar.core.routing import Ids, Ignored, Misplaced, Refused, Root, Router, Unmatched
from sidecar.core.rules import RoutingRule

ROOT = "/renders"
CONTRACT = Path(__file__).parents[2] / "sidecar" / "CONTRACT.md"


def router(preset: str = "lesson", *rules: RoutingRule) -> Router:
    """Return a router of a preset, with what Manim's needs."""
    pins = {"project": "algebra", "session": "one"} if preset == "manim" else {}
    ignored, scratch = presets.IGNORED_FINAL[preset], presets.SCRATCH[preset]
    root = Root(path=ROOT, fields=pins, ignore=("**/.*", "**/__pycache__/**", *ignored), scratch=scratch)
    return Router(roots=[root], rules=[*rules, *presets.PRESETS[preset]], ids=Ids())


def test_every_class_has_a_row_and_the_contract_shows_it() -> None:
    """CONTRACT.md has the very table that the answers are driven from."""
    assert set(TABLE) == set(FileClass)
    assert table() in CONTRACT.read_text()


@pytest.mark.parametrize("name", FileClass)
def test_a_class_is_never_passed_in_one_answer_and_failed_in_another(name: FileClass) -> None:
    """What `wait` fails for a drain does not pass, /status shows, and the log warns of."""
    row = row_of(name)
    fails = row.wait is Waiting.FAILS
    assert fails == (row.drain in {Draining.FAILS, Draining.FAILS_IF_NEW})
    assert fails == (row.status is Shown.ATTENTION) == (row.level in {"warning", "error"})
    assert (row.wait is Waiting.WAITS) == (row.drain is Draining.WAITS)
    assert (row.wait is Waiting.PASSES) == (name is FileClass.DELIVERED)


def test_the_setting_moves_unmatched_files_between_two_rows() -> None:
    """misplaced | all | none; nothing else moves."""
    assert row_of(FileClass.UNMATCHED, "all") == row_of(FileClass.MISPLACED)
    assert row_of(FileClass.MISPLACED, "none") == row_of(FileClass.UNMATCHED)
    for name in set(FileClass) - {FileClass.UNMATCHED, FileClass.MISPLACED}:
        assert row_of(name, "all") == row_of(name, "none") == row_of(name)


def test_only_what_convex_acknowledged_is_delivered() -> None:
    """Unless nobody tells it: then S3 is the end. Superseded and gone are versions, no files."""
    assert [state for state in State if class_of(state) is FileClass.DELIVERED] == [State.SYNCED]
    assert class_of(State.UPLOADED, syncing=False) is FileClass.DELIVERED
    assert [state for state in State if class_of(state) is None] == [State.SUPERSEDED, State.GONE]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("p/s/c/1.mp4", "`video/` is missing in its path: `{project}/{session}/{scene}/video/*.mp4` would"),
        ("p/s/1.webm", "`combined/` is missing in its path: `{project}/{session}/combined/*.webm` would"),
        ("a.py", "`{project}/{session}/{scene}/source/` is missing in its path"),
        ("p/s/c/videos/1.mp4", "its folder `videos/` is not `video/`"),
        ("p/s/c/video/take/1.mp4", "its folder `take/` is one too many"),
        ("p/s/c/video/1.MP4", "its name is not of the form `*.mp4`"),
        ("p/s/c/video/1.mp4 ", "its name is not of the form `*.mp4`"),
        ("p/s/timings.json", "its name is not of the form `manifest.json`"),
        ("/".join("abcdefgh" * 8) + "/1.mp4", "too deep"),
    ],
)  # fmt: skip
def test_a_misplaced_file_is_told_what_is_missing(path: str, words: str) -> None:
    """Also where only the writing differs: a player does not care, a rule does."""
    rules = router()
    assert rules.route(ROOT, path) == Misplaced()
    assert words in rules.nearest(path)


@pytest.mark.parametrize("path", ["notes.txt", "p/s/c/a.svg", "p/s/c/video/.mp4x", "Makefile", "p/mp4"])
def test_other_files_are_scratch(path: str) -> None:
    """No rule takes their extension."""
    assert isinstance(router().route(ROOT, path), Unmatched | Ignored)


def test_a_name_that_cannot_be_stored_is_refused_where_a_rule_wants_it() -> None:
    """And scratch where none does."""
    assert isinstance(router().route(ROOT, "p/s/c/video/a\n.mp4"), Refused)
    assert isinstance(router().route(ROOT, "p/s/c/a\n.log"), Unmatched)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("media/Tex/0a1b.tex", Ignored),
        ("media/texts/0a1b.svg", Ignored),
        ("out/voiceovers/x.mp4", Ignored),
        ("media/videos/intro/480p15/sections/Intro_0000.mp4", Ignored),
        ("media/videos/intro/480p15/sections/Intro.json", Ignored),
        ("media/videos/intro/480p15/partial_movie_files/Intro/0.mp4", Ignored),
        ("media/videos/texts/1080p60/Intro.mp4", Route),
        ("media/videos/sections/1080p60/Intro.mp4", Route),
        ("media/images/Tex/Intro_ManimCE_v0.19.png", Route),
        ("media/videos/intro/Intro.mp4", Misplaced),
    ],
)
def test_what_manim_writes_beside_its_videos_is_ignored_and_no_module_of_that_name(
    path: str, kind: type
) -> None:
    """A scene file may be called texts.py."""
    assert isinstance(router("manim").route(ROOT, path), kind)


def test_a_rule_of_ones_own_takes_what_the_preset_calls_scratch() -> None:
    """Voiceovers are wanted by some."""
    own = RoutingRule(
        match="**/voiceovers/*.mp3", asset_type=presets.LESSON[0].asset_type, entity=presets.MANIM[0].entity
    )
    ids = Ids(scene_id="{stem}")
    root = Root(path=ROOT, fields={"project": "p", "session": "s"}, scratch=presets.SCRATCH["manim"])
    rules = Router(roots=[root], rules=[own, *presets.MANIM], ids=ids)
    assert isinstance(rules.route(ROOT, "media/voiceovers/a.mp3"), Route)


def test_a_file_belongs_to_the_session_whose_folder_it_lies_in() -> None:
    """However deep; a root that is pinned to one session belongs to it as a whole."""
    assert router().is_in_session(ROOT, "p/s/c/deep/er", "p/s")
    assert not router().is_in_session(ROOT, "p", "p/s")
    assert not router().is_in_session(ROOT, "p/other/s", "p/s")
    assert router("manim").is_in_session(ROOT, "anything", "algebra/one")


@given(st.lists(st.text("ab.*{", min_size=1, max_size=8), min_size=1, max_size=60).map("/".join))
def test_the_nearest_rule_is_found_in_bounded_time(path: str) -> None:
    """Whatever the path."""
    began = time.process_time()
    assert router().nearest(f"{path}/x.mp4")
    assert time.process_time() - began < 1.0
