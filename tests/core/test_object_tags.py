"""Tags and dispositions as S3 and browsers take them."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import media, object_tags

TAKEN = re.compile(r"[\w \u00a0.:/=+@-]*")
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)


@given(TEXT)
def test_a_value_is_always_one_that_s3_takes(text: str) -> None:
    """Letters, digits, blanks and _ . : / = + - @, at most 256 in UTF-16; and the header gives it back."""
    tags = object_tags.valid({"project": text})
    (value,) = tags.values()
    assert len(value.encode("utf-16-le")) <= 2 * object_tags.VALUE_CHARS_MAX
    assert all(TAKEN.fullmatch(char) or char.isspace() or char.isnumeric() for char in value)
    header = object_tags.header(tags)
    assert header.isascii()
    assert dict(parse_qsl(header, keep_blank_values=True)) == tags


def test_what_s3_takes_stays_as_it_is() -> None:
    """Also letters of other scripts."""
    assert object_tags.valid({"a": "algebra/lesson-7 @ é語"}) == {"a": "algebra/lesson-7 @ é語"}
    assert object_tags.valid({"a": 'it\'s "x", (y)&z'}) == {"a": "it_s _x__ _y__z"}


@pytest.mark.parametrize("key", ["", "aws:x", "AWS:x", "a&b", "é", "k" * 129, "a,b"])
def test_a_key_that_s3_refuses_is_a_mistake(key: str) -> None:
    """It is written in the configuration, so it is said there."""
    with pytest.raises(ValueError, match="no tag's key"):
        object_tags.check_key(key)


@pytest.mark.parametrize(
    ("asked", "name", "header"),
    [
        ("attachment", "intro.mp4", 'attachment; filename="intro.mp4"'),
        (
            "inline",
            'a "b"\\100%.mp4',
            "inline; filename=\"a _b__100_.mp4\"; filename*=UTF-8''a%20%22b%22%5C100%25.mp4",
        ),
        ("attachment", "ünï.mp4", "attachment; filename=\"_n_.mp4\"; filename*=UTF-8''%C3%BCn%C3%AF.mp4"),
        ('attachment; filename="x.mp4"', "intro.mp4", 'attachment; filename="x.mp4"'),
    ],
)
def test_a_download_has_the_files_name(asked: str, name: str, header: str) -> None:
    """One that every browser reads, and the exact one where it is another."""
    assert media.content_disposition(asked, name) == header
