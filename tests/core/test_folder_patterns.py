"""Patterns of the files of one folder: the answer is that of the whole pattern on the whole path."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.folder_patterns import NamePatterns, SplitPattern
from sidecar.core.patterns import Match, Pattern, matches_any

TOKENS = ["a", "b", "-", ".", "*", "(a|ab)", "(b|-|)", "{x}", "{y:a*}", "{z:*}", "{w:**}", "**", "/", "**/"]
SHAPES = ["**/*.(a|b)", "**/.*", "**/*-", "{x}/{y}/a*", "{x}/*.(a|ab)b", "**/a/**", "*/{x}.(a|b)", "{x}/{x}"]
BUDGET_SECONDS = 2.0  # a generous ceiling: what backtracks without memory takes hours


def _parsed(source: str) -> Pattern | None:
    try:
        return Pattern(source)
    except ValueError:
        return None


DRAWN = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6).map("".join)
PATTERNS = (DRAWN | st.sampled_from(SHAPES)).map(_parsed)
PATHS = st.text("ab-./", min_size=1, max_size=9)


def in_its_folder(pattern: Pattern, path: str) -> Match | None:
    """Match a path as its folder's files are matched."""
    at = path.rfind("/") + 1
    left = SplitPattern(pattern).in_folder(path[:at])
    return left.search(path, path[at:]) if left is not None else None


@given(PATTERNS, st.lists(PATHS, min_size=1, max_size=20))
def test_a_name_in_its_folder_is_matched_as_its_path_is(pattern: Pattern | None, paths: list[str]) -> None:
    """With the same captures at the same places, in the same order."""
    if pattern is not None:
        for path in paths:
            assert in_its_folder(pattern, path) == pattern.search(path)


@given(st.lists(PATTERNS, max_size=5), st.lists(PATHS, min_size=1, max_size=20))
def test_the_first_of_some_patterns_is_found_in_a_folder_as_on_the_path(
    drawn: list[Pattern | None], paths: list[str]
) -> None:
    """Also where one look at a name tells that none matches."""
    patterns = [pattern for pattern in drawn if pattern is not None]
    split = [SplitPattern(pattern) for pattern in patterns]
    for path in paths:
        at = path.rfind("/") + 1
        assert NamePatterns(split, path[:at]).first(path, path[at:]) is matches_any(patterns, path)


@pytest.mark.parametrize(
    ("source", "place", "is_plain"),
    [
        ("{project}/{session}/{scene}/video/*.(mp4|webm)", "a/b/c/video/", True),
        ("**/.*", "a/", True),
        ("{session}/{scene}/*", "a/b/", True),
        ("{session}/{scene}.mp4", "a/", False),
        ("{session}/a*b", "a/", False),
        ("{session}/{scene}/**", "a/b/", False),
        ("{s}/{s}/*.mp4", "a/a/", False),
    ],
)
def test_names_are_told_by_their_ends_where_a_pattern_is_that_simple(
    source: str, place: str, *, is_plain: bool
) -> None:
    """Files of one folder then share all that the pattern captures."""
    left = SplitPattern(Pattern(source)).in_folder(place)
    assert left is not None
    assert left.is_plain == is_plain


@pytest.mark.parametrize(
    ("source", "place"),
    [("{a}/{b}/video/*.mp4", "a/b/source/"), ("**/__pycache__/**", "a/b/"), ("{a}/*.mp4", "a/b/")],
)
def test_a_folder_in_which_nothing_can_match_has_nothing_left(source: str, place: str) -> None:
    """Its files cost nothing for such a pattern."""
    assert SplitPattern(Pattern(source)).in_folder(place) is None


@pytest.mark.parametrize(
    "source", ["x/*a*a*a*a*a*a*a*a*b", "x/{x}-{y}_{z}~*a*a*a*.mp4", "**/*a*/**/*a*/*a*a*b", "{s}/{s}a*a*a*b"]
)
@pytest.mark.parametrize("path", ["x/" + "a" * 255, "a/" * 2047 + "a", "x/" + "a-_~" * 60])
def test_a_hostile_name_costs_no_more_than_its_length_in_its_folder(source: str, path: str) -> None:
    """Neither the folder nor the name sends a pattern backtracking for ever."""
    pattern = Pattern(source)
    started = time.perf_counter()
    in_its_folder(pattern, path)
    assert time.perf_counter() - started < BUDGET_SECONDS
