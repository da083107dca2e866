"""Templates of keys and ids, and the keys that they become."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.keys import (
    KEY_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    KeyForm,
    KeyRefusedError,
    close_key,
    is_unique,
    open_key,
)
from sidecar.core.media import split_name
from sidecar.core.rules import DEFAULT_KEY
from sidecar.core.templates import Template

TRANSFER = "01J0000000000000000TAGTAG0"
SAFE = st.characters(blacklist_characters="/", blacklist_categories=("Cs", "Cc"))
NAMES = st.text(SAFE, min_size=1, max_size=80).filter(lambda name: name not in (".", ".."))
LONG = st.text(SAFE, min_size=1, max_size=400).filter(lambda name: name not in (".", ".."))


def values(project: str, session: str, scene: str | None, name: str) -> dict[str, str | None]:
    """Return the fields of a file as the router makes them."""
    stem, ext = split_name(name)
    return {
        "session_id": f"{project}/{session}", "scene_id": scene, "asset_type": "video_chunk", "name": name,
        "stem": stem, "ext": ext,
    }  # fmt: skip


def test_an_unset_field_drops_its_segment() -> None:
    """A session's own assets have no scene in their key."""
    assert Template("{a}/x-{b}/{c}").render({"a": "1", "b": None, "c": "3"}) == "1/3"


def test_a_backslash_takes_the_next_character_as_it_is() -> None:
    """Braces can be meant as braces."""
    assert Template(r"\{a\}/{a}").render({"a": "1"}) == "{a}/1"


@pytest.mark.parametrize("source", ["", "{a", "a}", "{}", "/a", "a/", "a//b", "\\", "{a b}"])
def test_a_bad_template_is_refused(source: str) -> None:
    """With a sentence, at configuration time."""
    with pytest.raises(ValueError, match=r"template|character|segment"):
        Template(source)


def test_unknown_fields_are_named() -> None:
    """The configuration can say which."""
    assert Template("{a}/{b}{c}").unknown({"b"}) == ["a", "c"]


@given(st.tuples(NAMES, NAMES, st.none() | NAMES, NAMES), st.tuples(NAMES, NAMES, st.none() | NAMES, NAMES))
def test_the_default_key_tells_any_two_assets_apart(
    one: tuple[str, str, str | None, str], other: tuple[str, str, str | None, str]
) -> None:
    """Even under one transfer id, two different files have two different keys."""
    try:
        keys = [close_key(open_key(Template(DEFAULT_KEY), values(*each)), TRANSFER) for each in (one, other)]
    except KeyRefusedError:
        return
    if all(len(name.encode()) < SEGMENT_BYTES_MAX - 27 for name in (one[3], other[3])):
        assert (keys[0] == keys[1]) == (one == other)


@given(LONG, LONG, LONG, LONG)
def test_a_key_stays_within_every_limit_and_below_its_prefix_or_is_refused(
    project: str, session: str, scene: str, name: str
) -> None:
    """1,024 bytes, 255 a segment, no segment that leads elsewhere."""
    try:
        key = close_key(open_key(Template(DEFAULT_KEY), values(project, session, scene, name)), TRANSFER)
    except KeyRefusedError:
        return
    parts = key.split("/")
    assert key.startswith(f"{project}/{session}/{scene}/video_chunk/")
    assert len(key.encode()) <= KEY_BYTES_MAX
    assert all(0 < len(part.encode()) <= SEGMENT_BYTES_MAX for part in parts)
    assert not {".", ".."} & set(parts)
    extension = split_name(name)[1].replace("\\", "_")
    assert key.endswith(f".{TRANSFER}{extension}")


def test_a_long_stem_is_cut_between_characters() -> None:
    """The longest name that a file system takes still has a key, and it is valid text."""
    name = "é" * 125 + ".mp4"
    key = close_key(open_key(Template(DEFAULT_KEY), values("p", "s", "c", name)), TRANSFER)
    segment = key.rpartition("/")[2]
    assert SEGMENT_BYTES_MAX - 2 < len(segment.encode()) <= SEGMENT_BYTES_MAX
    assert segment == "é" * 112 + f".{TRANSFER}.mp4"


def test_a_long_segment_without_a_stem_to_cut_is_refused() -> None:
    """Two files must never share a key because their names were cut."""
    with pytest.raises(KeyRefusedError, match="300 bytes; 255 fit"):
        open_key(Template("x/{name}"), {"name": "a" * 300})


@pytest.mark.parametrize(
    "hostile", ["{transfer}", "{{transfer}}", "{", "}", "{{", "a{transfer", "{transfer}}{"]
)
def test_a_file_named_like_the_placeholder_keeps_its_name(hostile: str) -> None:
    """Braces of a file's name never stand for the transfer."""
    key = open_key(Template("k/{stem}.{transfer}{ext}"), {"stem": hostile, "ext": ".mp4"})
    assert close_key(key, TRANSFER) == f"k/{hostile}.{TRANSFER}.mp4"


def test_a_key_without_a_transfer_is_not_unique() -> None:
    """Whatever the file is called."""
    assert is_unique(open_key(Template(DEFAULT_KEY), values("p", "s", "c", "a.mp4")))
    assert not is_unique(open_key(Template("{name}"), {"name": "{transfer}"}))


TOKENS = [
    "{stem}", "{name}", "{ext}", "{path}", "{transfer}", "{a}", "{unset}", "-", ".", "/", r"\{", "x" * 90,
    "{stem}.{transfer}{ext}",
]  # fmt: skip
CAPTURED = st.sampled_from(
    ["p", "", "..", "p/q", "{x}", "{transfer}", "b\\c", "é" * 120, "a" * 250, "a" * 600]
)
PIECES = st.sampled_from(["a", "b.", "{", "}", "\\", "é", "z" * 100, "y" * 30])


def _template(source: str) -> Template | None:
    try:
        return Template(source)
    except ValueError:
        return None


@given(
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=7).map(lambda tokens: _template("".join(tokens))),
    CAPTURED,
    st.lists(st.lists(PIECES, min_size=1, max_size=4).map("".join), min_size=1, max_size=6),
)
def test_the_key_of_a_file_is_the_same_however_many_share_its_fields(
    template: Template | None, captured: str, names: list[str]
) -> None:
    """What is filled in once for a folder gives the keys, and the refusals, of each file by itself."""
    if template is None:
        return
    shared = {"a": captured, "unset": None}
    form = KeyForm(template, shared)
    for name in names:
        stem, ext = split_name(name)
        file = {"name": name, "stem": stem, "ext": ext, "path": f"inner/{name}"}
        alone = _key_or_refusal(partial(open_key, template, {**shared, **file}))
        assert _key_or_refusal(partial(form.open, file)) == alone
        assert isinstance(alone, tuple) or form.is_unique == is_unique(alone)


@pytest.mark.parametrize("source", [DEFAULT_KEY, "{a}/{stem}-{stem}.{transfer}", "{a}/{a}{stem}.{transfer}"])
def test_a_name_of_any_length_has_the_key_that_it_has_by_itself(source: str) -> None:
    """The longest ones are cut."""
    shared = {"session_id": "p/s", "scene_id": "é", "asset_type": "video_chunk", "a": "ü" * 50}
    template = Template(source)
    form = KeyForm(template, shared)
    for length in range(1, 252):
        stem = "z" * length
        file = {"name": f"{stem}.mp4", "stem": stem, "ext": ".mp4", "path": f"{stem}.mp4"}
        assert form.open(file) == open_key(template, {**shared, **file})


def _key_or_refusal(make: Callable[[], str]) -> str | tuple[str]:
    try:
        return make()
    except KeyRefusedError as error:
        return (str(error),)


@pytest.mark.parametrize("scene", ["..", "."])
def test_a_key_that_leads_elsewhere_is_refused(scene: str) -> None:
    """Path traversal cannot leave the prefix."""
    with pytest.raises(KeyRefusedError, match="leads elsewhere"):
        open_key(Template(DEFAULT_KEY), values("p", "s", scene, "a.mp4"))
