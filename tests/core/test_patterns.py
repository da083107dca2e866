"""The pattern language of rules and ``ignore``."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.patterns import Pattern

NAMES = st.text(
    st.characters(blacklist_characters="/", blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20
)
BUDGET_SECONDS = 2.0  # a generous ceiling: what backtracks without memory takes hours


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        (
            "{project}/{session}/{scene}/video/*.(mp4|webm)",
            "a/b/c/video/x.mp4",
            {"project": "a", "session": "b", "scene": "c"},
        ),
        ("{a}/x.py", "intro scene 🎬/x.py", {"a": "intro scene 🎬"}),
        ("{scene}_{index}.mp4", "my_scene_003.mp4", {"scene": "my_scene", "index": "003"}),
        ("{scene:scene_*}/a", "scene_1/a", {"scene": "scene_1"}),
        ("{kind:(a|ab)}b", "abb", {"kind": "ab"}),
        ("(a|ab)(c|bcd)", "abcd", {}),
        ("{rest:**}", "a/b/c", {"rest": "a/b/c"}),
        ("**/{scene}.mp4", "s.mp4", {"scene": "s"}),
        ("**/{scene}.mp4", "a/b/s.mp4", {"scene": "s"}),
        ("a/**/b", "a/b", {}),
        ("a/**/b", "a/x/y/b", {}),
        ("**/.*", ".hidden", {}),
        ("**/*~", "a/b/c~", {}),
        ("**", "any/where", {}),
        ("{s}/{s}.mp4", "intro/intro.mp4", {"s": "intro"}),
        ("{s}-*/{s}.mp4", "intro-take-2/intro.mp4", {"s": "intro"}),
        (
            "**/images/{module}/{scene:*}_ManimCE_*.png",
            "m/images/x/A_ManimCE_v0.19.png",
            {"module": "x", "scene": "A"},
        ),
        (r"\{a\}\*.mp4", "{a}*.mp4", {}),
    ],
)
def test_a_pattern_captures_what_it_names(pattern: str, path: str, fields: dict[str, str]) -> None:
    """Fields, globs, alternatives, ** and repeated fields, each as documented."""
    assert Pattern(pattern).match(path) == fields


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{a}/x", "/x"),
        ("{a}", "a/b"),
        ("*.mp4", "a/b.mp4"),
        ("*.mp4", "b.mp4.tmp"),
        ("*.(mp4|webm)", "b.mkv"),
        ("{s}/{s}.mp4", "intro/outro.mp4"),
        ("a/**/b", "ab"),
        ("**/x/y", "ax/y"),
        ("A.mp4", "a.mp4"),
    ],
)
def test_a_pattern_matches_whole_paths_only(pattern: str, path: str) -> None:
    """What does not fit entirely, by segments and by case, does not match."""
    assert Pattern(pattern).match(path) is None


@pytest.mark.parametrize(
    ("pattern", "place", "words"),
    [
        ("", None, "is empty"),
        ("{project/x", 1, "never closed"),
        ("a/{}", 3, "needs a name"),
        ("a(b|c", 2, "never closed"),
        ("ab)", 3, "closes nothing"),
        ("ab}", 3, "closes nothing"),
        ("a|b", 2, "within ( ) only"),
        ("a[0-9]", 2, "has no meaning"),
        ("a?", 2, "has no meaning"),
        ("***", 1, "no meaning"),
        ("/renders/*", 1, "below the root"),
        ("a//b", 2, "empty segment"),
        ("a/", 2, "cannot end in /"),
        ("(a/b|c)", 3, "cannot stand within"),
        ("({a}|b)", 2, "stay unset"),
        ("{a:}", 1, "is empty"),
        ("x/{stem}.mp4", 3, "always there"),
        ("a\\", 2, "must be followed"),
        ("a" * 2000, None, "longer than"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_place(pattern: str, place: int | None, words: str) -> None:
    """The message says what is wrong, and at which character."""
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        Pattern(pattern)
    assert place is None or f"(character {place} of " in str(raised.value)


@given(st.lists(NAMES, min_size=3, max_size=3), NAMES)
def test_captured_fields_spell_the_path_again(folders: list[str], stem: str) -> None:
    """What is captured is the path's text, whatever it is."""
    path = "/".join([*folders, f"{stem}.mp4"])
    fields = Pattern("{a}/{b}/{c}/{d}.mp4").match(path)
    assert fields is not None
    assert "{a}/{b}/{c}/{d}.mp4".format(**fields) == path


SOURCES = st.lists(
    st.sampled_from(["a", "b", "-", "*", "(a|ab)", "(b|-|)", "{x}", "{y:a*}", "{z:*}", "**", "/"]),
    min_size=1,
    max_size=6,
).map("".join)


@given(SOURCES, st.text("ab-/", min_size=1, max_size=8))
def test_a_pattern_finds_what_a_regular_expression_would(source: str, path: str) -> None:
    """For small paths, where backtracking is harmless, the answers and the captures are the same."""
    try:
        pattern = Pattern(source)
    except ValueError:
        return
    found = re.fullmatch(_regex(source), path)
    assert pattern.match(path) == (found.groupdict() if found else None)


def _regex(source: str) -> str:
    seen: set[str] = set()

    def field(found: re.Match[str]) -> str:
        name, glob = found[1], found[2] or "+"
        inner = {"+": "[^/]+", "*": "[^/]*", "a*": "a[^/]*"}[glob]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{inner})"

    text = re.sub(r"(?:(?<=/)|^)\*\*/", "\0", source)
    text = text.replace("**", "\1")
    text = re.sub(r"\{(\w+)(?::([^}]*))?\}", lambda found: field(found).replace("*", "\2"), text)
    text = text.replace("*", "[^/]*").replace("\2", "*")
    return text.replace("\0", "(?:[^/]*/)*").replace("\1", ".*")


@pytest.mark.parametrize(
    "pattern",
    [
        "*a*a*a*a*a*a*a*a*b",
        "(a|aa|aaa)(a|aa|aaa)(a|aa|aaa)*(a|aa)*(a|aa)*b",
        "{x}-{y}_{z}~*a*a*a*.mp4",
        "**a**a**a**a**a**b",
        "**/*a*/**/*a*/**/*a*/**/b",
        "{s}a{t}a{u}/{s}{t}{u}b",
    ],
)
@pytest.mark.parametrize(
    "path", ["a" * 255, "a" * 255 + "b/", "a/" * 2047 + "a", "a-_~" * 60 + "/" + "a" * 255]
)
def test_a_hostile_name_costs_no_more_than_its_length(pattern: str, path: str) -> None:
    """Patterns that would send a regular expression backtracking for ever answer quickly."""
    compiled = Pattern(pattern)
    started = time.perf_counter()
    compiled.match(path)
    assert time.perf_counter() - started < BUDGET_SECONDS


def test_the_folder_of_a_field_is_known_from_the_pattern_and_from_the_path() -> None:
    """A scene's folder ends at the last segment that names it."""
    pattern = Pattern("{project}/{session}/{scene}/video/*.mp4")
    folder = pattern.folder({"project", "session", "scene"})
    assert folder is not None
    assert folder.match("p/s/c") == {"project": "p", "session": "s", "scene": "c"}
    found = pattern.search("p/s/c/video/x.mp4")
    assert found is not None
    assert found.folder({"scene", "session"}) == "p/s/c"
    assert found.folder({"nobody"}) is None


def test_a_file_name_is_no_folder() -> None:
    """Where only the file's name names the scene there is no folder of it."""
    pattern = Pattern("**/videos/{scene}.mp4")
    assert pattern.folder({"scene"}) is None
    found = pattern.search("videos/x.mp4")
    assert found is not None
    assert found.folder({"scene"}) is None
