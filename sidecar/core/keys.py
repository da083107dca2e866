"""Object keys: a template filled in but for the transfer id, within the limits of every store.

An open key holds ``{transfer}`` where the id will be; braces that belong to a file's name are doubled, so
that a file called ``{transfer}.mp4`` opens nothing. ``close_key`` alone turns it into a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from .templates import Ref, Segment, Template

KEY_BYTES_MAX = 1024  # S3's own limit
SEGMENT_BYTES_MAX = 255  # of stores that keep objects in a file system
TRANSFER_LENGTH = 26
SEGMENTS_KEPT_MAX = 512
_ZEROS = "0" * TRANSFER_LENGTH
_OPEN = re.compile(r"\{\{|\}\}|\{transfer\}")


class KeyRefusedError(Exception):
    """No store would take the key; the message is one sentence for people."""


def open_key(template: Template, values: Mapping[str, str | None]) -> str:
    """Return the open key. ``{stem}`` beside ``{transfer}`` is cut so that its segment fits.

    Raises KeyRefusedError where the key leaves its place or is longer than a store allows.
    """
    texts = [
        _opened(segment, tuple([values.get(name) for name in segment.fields]))
        for segment in template.segments
    ]
    key = "/".join([text for text in texts if text is not None])
    if (size := len(close_key(key, _ZEROS).encode())) > KEY_BYTES_MAX:
        raise KeyRefusedError(f"its object key has {size} bytes, and S3 takes {KEY_BYTES_MAX}")
    if not key:
        raise KeyRefusedError(
            "its object key is empty, because every segment of the template has an unset field"
        )
    return key


def close_key(key: str, transfer_id: str) -> str:
    """Return the object key of one transfer."""
    if "{{" not in key and "}}" not in key:
        return key.replace("{transfer}", transfer_id)
    return _OPEN.sub(lambda found: {"{{": "{", "}}": "}"}.get(found[0], transfer_id), key)


def is_unique(key: str) -> bool:
    """Whether an open key differs for every transfer, so that nothing is ever overwritten."""
    if "{{" not in key:
        return "{transfer}" in key
    return any(found[0] == "{transfer}" for found in _OPEN.finditer(key))


@lru_cache(SEGMENTS_KEPT_MAX)  # of files of one folder most segments are the same
def _opened(segment: Segment, given: tuple[str | None, ...]) -> str | None:
    """Return a segment of an open key, None where a field is unset; ``given`` are its fields' values."""
    closed = {**dict(zip(segment.fields, given, strict=True)), "transfer": _ZEROS}
    if (text := segment.render(closed)) is None:
        return None
    _check_segments(text.split("/"))
    filled = {**closed, "stem": _fitting_stem(segment, closed, text)}
    if "transfer" in segment.fields:  # elsewhere it would lead to another session's prefix
        filled = {name: value and _listable(value) for name, value in filled.items()}
    return _open_segment(segment, filled)


def _check_segments(texts: Iterable[str]) -> None:
    for text in texts:
        if text in ("", ".", ".."):
            raise KeyRefusedError(f"its object key would hold the segment {text!r}, which leads elsewhere")


def _fitting_stem(segment: Segment, values: Mapping[str, str | None], text: str) -> str:
    stem = values.get("stem") or ""
    excess = _longest(text) - SEGMENT_BYTES_MAX
    if excess <= 0:
        return stem
    uses = sum(token == Ref("stem") for token in segment.tokens) if "transfer" in segment.fields else 0
    room = len(stem.encode()) - -(-excess // uses) if uses else 0
    cut = stem.encode()[: max(room, 0)].decode(errors="ignore")
    if not cut:
        raise KeyRefusedError(
            f"a segment of its object key has {SEGMENT_BYTES_MAX + excess} bytes; {SEGMENT_BYTES_MAX} fit"
        )
    return cut


def _longest(text: str) -> int:
    return max(len(token.encode()) for token in text.split("/"))


def _open_segment(segment: Segment, values: Mapping[str, str | None]) -> str:
    return "".join(
        _doubled(token)
        if isinstance(token, str)
        else "{transfer}"
        if token.name == "transfer"
        else _doubled(values.get(token.name) or "")
        for token in segment.tokens
    )


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _listable(text: str) -> str:
    """Some stores list a backslash as a slash; the transfer id keeps such a key apart from any other."""
    return text.replace("\\", "_")
