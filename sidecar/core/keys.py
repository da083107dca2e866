"""Object keys: a template filled in but for the transfer id, within the limits of every store.

An open key holds ``{transfer}`` where the id will be; braces that belong to a file's name are doubled, so
that a file called ``{transfer}.mp4`` opens nothing. ``close_key`` alone turns it into a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .templates import Ref, Segment, Template, doubled

KEY_BYTES_MAX = 1024  # S3's own limit
SEGMENT_BYTES_MAX = 255  # of stores that keep objects in a file system
TRANSFER_LENGTH = 26
SEGMENTS_KEPT_MAX = 512
_ZEROS = "0" * TRANSFER_LENGTH
FILE_FIELDS = frozenset({"name", "stem", "ext", "path"})  # of a file, however many share the others
_LATER = FILE_FIELDS | {"transfer"}
_ESCAPED = re.compile(r"[{}\\]")
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
    if (size := _size_bytes(key)) > KEY_BYTES_MAX:
        raise KeyRefusedError(f"its object key has {size} bytes, and S3 takes {KEY_BYTES_MAX}")
    if not key:
        raise KeyRefusedError(
            "its object key is empty, because every segment of the template has an unset field"
        )
    return key


class KeyForm:
    """A template filled in but for what is a file's own. It makes keys as ``open_key`` does.

    Of a plain short name nothing has to be checked or escaped: then one format makes the key.
    """

    __slots__ = ("_chars_max", "_format", "_template", "_values", "is_unique")

    def __init__(self, template: Template, values: Mapping[str, str | None]) -> None:
        """Take what the files share; nothing is raised before a key is made."""
        self._template, self._values = template, values
        segments = [segment for segment in template.segments if segment.is_set(values, _LATER)]
        self.is_unique = any("transfer" in segment.fields for segment in segments)
        self._format, self._chars_max = _format(segments, values)

    def open(self, file: Mapping[str, str]) -> str:
        """Return a file's open key; ``file`` has all of ``FILE_FIELDS``. Raises KeyRefusedError."""
        name = file["name"]
        if len(name) <= self._chars_max and name.isascii() and not _ESCAPED.search(name):
            return self._format.format_map(file)
        return open_key(self._template, {**self._values, **file})


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
    return "".join(_open_token(token, values) for token in segment.tokens)


def _open_token(token: str | Ref, values: Mapping[str, str | None]) -> str:
    if isinstance(token, str):
        return doubled(token)
    return "{transfer}" if token.name == "transfer" else doubled(values.get(token.name) or "")


def _listable(text: str) -> str:
    """Some stores list a backslash as a slash; the transfer id keeps such a key apart from any other."""
    return text.replace("\\", "_")


def _format(segments: Sequence[Segment], values: Mapping[str, str | None]) -> tuple[str, int]:
    """Return the format of plain names' keys, and how many characters they may have; -1: use it for none."""
    try:
        texts = [_shared(segment, values) for segment in segments]
    except KeyRefusedError:
        return "", -1
    if not texts or None in texts:
        return "", -1
    shared = [text for text in texts if text is not None]
    key = "/".join([text.format for text in shared])
    room = [(SEGMENT_BYTES_MAX - text.size_bytes) // text.uses for text in shared if text.uses]
    size_bytes, uses = sum(text.size_bytes + 1 for text in shared), sum(text.uses for text in shared)
    return key, min([*room, (KEY_BYTES_MAX - size_bytes) // max(uses, 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """A segment filled in but for a file's own fields, which it ``uses`` so often."""

    format: str
    size_bytes: int  # without them
    uses: int


def _shared(segment: Segment, values: Mapping[str, str | None]) -> _Shared | None:
    """Return it, None where a name decides whether its key can be. Raises KeyRefusedError if none can."""
    own = [token for token in segment.tokens if isinstance(token, Ref) and token.name in FILE_FIELDS]
    if not own:
        text = _opened(segment, tuple([values.get(name) for name in segment.fields])) or ""
        return _Shared(format=doubled(text), size_bytes=_size_bytes(text), uses=0)
    given = {name: _listable(values.get(name) or "") for name in segment.fields}
    if "transfer" not in segment.fields or "path" in segment.fields or "/" in "".join(given.values()):
        return None
    fixed = [_open_token(token, given) for token in segment.tokens if token not in own]
    texts = [
        f"{{{token.name}}}" if isinstance(token, Ref) and token in own else doubled(_open_token(token, given))
        for token in segment.tokens
    ]
    return _Shared(format="".join(texts), size_bytes=_size_bytes("".join(fixed)), uses=len(own))


def _size_bytes(key: str) -> int:
    return len(close_key(key, _ZEROS).encode())
