"""Reads what an HLS or DASH playlist names, as paths below its root.

Generated code writes playlists, so nothing of one is trusted. There is no XML parser: work is linear in the
text, no entity is expanded, and at most 1 MiB and 50,000 names are read; of a longer playlist all that lies
beside it counts as named. It speaks for the files of one folder and of those below it alone. It is read as
far as it can be: half a playlist names what it names.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from .media import extension

TEXT_BYTES_MAX = 1024 * 1024  # fourteen hours of two-second segments
NAMES_MAX = 50_000
_MASKS_MAX = 500
_DEPTH_MAX = 16
_URI_LETTERS_MAX = 1024
_LETTERS_MAX = 2 * TEXT_BYTES_MAX  # of all names: templates multiply
_TAG_LETTERS_MAX = 16_384
_BASES_MAX = 8
_ANY = "\0"  # a number that a template leaves open
_URI = re.compile(r'URI="([^"]*)"')
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_TAG = re.compile(r"[A-Za-z_][\w.-]{0,40}(?::[\w.-]{1,40})?")
_ATTRIBUTES = {
    name: re.compile(rf"\b{name}\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
    for name in ("media", "initialization", "sourceURL", "id")
}
_PLACEHOLDER = re.compile(r"\$([A-Za-z]*)(?:%0\d{1,3}d)?\$")
_LEVELS = frozenset({"MPD", "Period", "AdaptationSet", "Representation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistPlace:
    """Where a playlist lies, and the folder that it may speak for; "" is the root."""

    root: str
    folder: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """What a playlist names. ``is_cut``: it is longer than what was read, so it may name all beside it."""

    place: PlaylistPlace
    paths: frozenset[str] = frozenset()
    masks: tuple[tuple[tuple[str, ...], ...], ...] = ()
    is_cut: bool = False

    def names(self, path: str) -> bool:
        """Tell whether it names a path below the root."""
        if path in self.paths:
            return True
        if self.is_cut and _is_below(path, self.place.folder):
            return True
        segments = path.split("/")
        return any(_fits_all(mask, segments) for mask in self.masks)


def parse(text: str, name: str, place: PlaylistPlace, *, is_cut: bool = False) -> Playlist:
    """Return what a playlist names; ``name`` is its file's and decides between HLS and DASH."""
    text = text.replace(_ANY, "")
    uris = _dash(text) if extension(name) == "mpd" else _hls(text)
    paths, masks, letters = set[str](), set[tuple[tuple[str, ...], ...]](), 0
    for uri in uris:
        for path in _resolved(uri, place):
            if _ANY not in path:
                paths.add(path)
            elif len(masks) < _MASKS_MAX:
                masks.add(tuple(_mask(segment) for segment in path.split("/")))
        letters += len(uri) + 1
        if len(paths) >= NAMES_MAX or len(masks) >= _MASKS_MAX or letters > _LETTERS_MAX:
            is_cut = True
            break
    return Playlist(place=place, paths=frozenset(paths), masks=tuple(masks), is_cut=is_cut)


# -- HLS ---------------------------------------------------------------------------------------------------


def _hls(text: str) -> Iterator[str]:
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#"):
            yield from _URI.findall(line) if line.startswith("#EXT") else ()
        else:
            yield line.strip()


# -- DASH --------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Element:
    """An element that hands its base URLs and templates down to those in it."""

    tag: str
    bases: tuple[str, ...]
    templates: dict[str, str]
    id: str = ""
    own_bases: list[str] = field(default_factory=list)


def _dash(text: str) -> Iterator[str]:
    levels = [_Element(tag="", bases=("",), templates={})]
    for piece in _without_comments(text).split("<")[1:]:
        is_end = piece.startswith("/")
        found = _TAG.match(piece, int(is_end))
        if found is None:
            continue
        tag = found.group().rpartition(":")[2]
        if is_end:
            yield from _close(levels, tag)
        else:
            yield from _meet(levels, tag, piece)
    for level in levels:
        yield from _filled_in(level)


def _meet(levels: list[_Element], tag: str, piece: str) -> Iterator[str]:
    """Take in one start tag and the text behind it."""
    inside, _, text = piece.partition(">")
    inside = inside[:_TAG_LETTERS_MAX]
    top = levels[-1]
    if tag in _LEVELS and len(levels) < _DEPTH_MAX:
        level = _Element(
            tag=tag, bases=top.bases, templates=dict(top.templates), id=_attribute(inside, "id") or ""
        )
        levels.append(level)
        if inside.endswith("/"):
            yield from _close(levels, tag)
    elif tag == "BaseURL":
        yield from _base(levels, html.unescape(text.strip()))
    elif tag == "SegmentTemplate":
        top.templates |= {
            name: value
            for name in ("media", "initialization")
            if (value := _attribute(inside, name)) and len(value) <= _URI_LETTERS_MAX
        }
    elif tag in {"SegmentURL", "Initialization"}:
        uri = _attribute(inside, "media" if tag == "SegmentURL" else "sourceURL")
        yield from (_joined(base, uri) for base in top.bases) if uri else ()


def _base(levels: list[_Element], uri: str) -> Iterator[str]:
    """A base names a file, or the folder of those that follow; elsewhere's (a CDN's) names nothing here."""
    if not uri or len(uri) > _URI_LETTERS_MAX or _URL.match(uri):
        return
    top, above = levels[-1], levels[-2].bases if len(levels) > 1 else ("",)
    found = [_joined(base, uri) for base in above]
    top.own_bases = [*top.own_bases, *found][:_BASES_MAX]
    top.bases = tuple(top.own_bases)
    yield from found


def _close(levels: list[_Element], tag: str) -> Iterator[str]:
    if tag in _LEVELS and any(level.tag == tag for level in levels):
        while (level := levels.pop()).tag != tag:
            yield from _filled_in(level)
        yield from _filled_in(level)


def _filled_in(level: _Element) -> Iterator[str]:
    """Yield what the templates of a representation stand for."""
    if level.tag != "Representation":
        return
    for template in level.templates.values():
        uri = _PLACEHOLDER.sub(lambda found: _value(found.group(1), level.id), template)
        yield from (_joined(base, uri) for base in level.bases)


def _value(name: str, representation: str) -> str:
    if not name:
        return "$"
    return representation if name == "RepresentationID" else _ANY


def _attribute(inside: str, name: str) -> str | None:
    found = _ATTRIBUTES[name].search(inside)
    return html.unescape(found.group(1) or found.group(2) or "") if found else None


def _without_comments(text: str) -> str:
    kept, at = list[str](), 0
    while (begin := text.find("<!--", at)) >= 0:
        kept.append(text[at:begin])
        end = text.find("-->", begin)
        if end < 0:
            return "".join(kept)
        at = end + 3
    return "".join([*kept, text[at:]])


def _joined(base: str, uri: str) -> str:
    return uri if uri.startswith("/") or _URL.match(uri) else base[: base.rfind("/") + 1] + uri


# -- names -------------------------------------------------------------------------------------------------


def _resolved(uri: str, place: PlaylistPlace) -> set[str]:
    """Return the paths that a name may mean: as URLs are written, or by muxers, which quote nothing."""
    if not uri or len(uri) > _URI_LETTERS_MAX or _URL.match(uri):
        return set()
    plain = re.split(r"[?#]", uri, maxsplit=1)[0]
    names = {uri, plain} if "%00" in plain else {uri, plain, unquote(plain)}
    found = {_path(name, place) for name in names}
    return {path for path in found if path is not None}


def _path(name: str, place: PlaylistPlace) -> str | None:
    if name.startswith("/"):  # ffmpeg, where segments lie elsewhere than their playlist
        root = place.root.rstrip("/") + "/"
        if not name.startswith(root):
            return None
        path = posixpath.normpath(name[len(root) :])
    else:
        path = posixpath.normpath(posixpath.join(place.folder, name))
    return path if _is_below(path, place.scope) and not path.startswith(("/", "../")) else None


def _is_below(path: str, folder: str) -> bool:
    return path not in {".", ".."} and (not folder or path.startswith(f"{folder}/"))


def _mask(segment: str) -> tuple[str, ...]:
    return tuple(re.split(f"{_ANY}+", segment))


def _fits_all(mask: tuple[tuple[str, ...], ...], segments: list[str]) -> bool:
    return len(mask) == len(segments) and all(_fits(*pair) for pair in zip(mask, segments, strict=True))


def _fits(pieces: tuple[str, ...], text: str) -> bool:
    """Match pieces with anything between them: the first place of each does, so nothing is tried twice."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    end = len(text) - len(last)
    if end < len(first) or not (text.startswith(first) and text.endswith(last)):
        return False
    at = len(first)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
