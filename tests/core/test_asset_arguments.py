"""What a program says of an asset is refused by a sentence, before anything of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.core.asset_arguments import (
    asset_type_of,
    require_index,
    require_metadata,
    require_segment,
    require_text,
)
from sidecar.core.model import AssetType


@pytest.mark.parametrize("text", ["intro", "тест ✓", "a b", "x" * 1024])
def test_a_text_that_remotes_hold_is_taken(text: str) -> None:
    require_segment("name", text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        *((text, ValueError) for text in ("", "a\0b", "a\r\nb", "\udc80", "x" * 1025)),
        *((other, TypeError) for other in (7, None, b"a")),
    ],
)
def test_what_no_remote_holds_is_refused_by_name(text: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^scene_id "):
        require_text("scene_id", text)


def test_a_name_is_one_segment() -> None:
    with pytest.raises(ValueError, match="one segment"):
        require_segment("name", "a/b.py")


@pytest.mark.parametrize(
    ("index", "error"),
    [(-1, ValueError), (2**53, ValueError), (1.5, TypeError), (True, TypeError), ("1", TypeError)],
)
def test_an_index_is_a_count(index: Any, error: type[Exception]) -> None:
    require_index(0)
    with pytest.raises(error, match=r"^index is "):
        require_index(index)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        *(({name: "x"}, ValueError) for name in ("$a", "ü", "")),
        *(({"a": value}, ValueError) for value in ("\udc80", "x" * 17_000)),
        ({str(n): "" for n in range(1001)}, ValueError),
        *((other, TypeError) for other in ({"a": 1}, {1: "a"}, ["a"])),
    ],
)
def test_metadata_are_texts_that_convex_takes(metadata: Any, error: type[Exception]) -> None:
    require_metadata({"a b": "ü\r\n"})
    with pytest.raises(error, match="metadata"):
        require_metadata(metadata)


def test_a_type_that_is_none_is_told_which_are() -> None:
    assert asset_type_of("thumbnail") is AssetType.THUMBNAIL
    with pytest.raises(ValueError, match=r"video_chunk, .*manifest, not 'movie'"):
        asset_type_of("movie")
