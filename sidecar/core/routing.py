"""Says what a path means: applies the rules, as a pure function of root and path.

What is the same for all files of a folder is remembered, never what a file is: see ``folder_patterns``.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from . import keys, media
from .entities import Named, Naming
from .folder_patterns import NamePatterns, SplitPattern
from .misplaced import PatternShape, nearest
from .model import VIDEOS, AssetType, EntityType, Route
from .patterns import Pattern, is_consistent, matches_any
from .route_rules import WITHHELD_PLAYLIST, CompiledRule, Routes, RuleInFolder, file_fields
from .routings import Ignored, Marker, Misplaced, Refused, Routing, Unmatched, Withheld
from .rules import DEFAULT_PRIORITY, Ids, Root, RoutingRule

SESSIONS_KEPT_MAX = 10_000  # folders whose sessions are known
FOLDERS_KEPT_MAX = 1_024  # folders of which is known what is the same for all their files
KINDS_KEPT_MAX = 128  # of assets that programs hand over
NO_RULE = "no rule matches its path"
WITHHELD_SEGMENT = "it is a segment of {playlist}: HLS and DASH are not shipped by this version; it is held"
_KINDS = ("ts", "m4s", "mp4")
_MARKERS: dict[str, Literal["complete", "cancelled"]] = {".complete": "complete", ".cancelled": "cancelled"}
_NOWHERE = frozenset({"", ".", ".."})  # segments that lead elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOwner:
    """What a playlist's segments belong to; ``folder`` is that entity's, None where it has none."""

    named: Named
    folder: str | None


def object_key(route: Route, transfer_id: str) -> str:
    """Return the route's key with its transfer id filled in. Long stems were cut when it was routed."""
    return keys.close_key(route.key, transfer_id)


class Router:
    """The rules of all roots, compiled. Raises ValueError for a rule that cannot work."""

    def __init__(
        self,
        *,
        roots: Sequence[Root],
        rules: Sequence[RoutingRule],
        ids: Ids,
        priority: Sequence[AssetType] = (),
    ) -> None:
        """``rules`` in order, the preset's last; ``priority`` names the asset types that go first."""
        naming = Naming(ids)
        order = (*priority, *(kind for kind in DEFAULT_PRIORITY if kind not in priority))
        self._naming = naming
        self._ids, self._order = ids, order
        self._kind_of = functools.lru_cache(KINDS_KEPT_MAX)(self._compile_kind)
        self._rules = [CompiledRule(rule, ids=ids, naming=naming, order=order) for rule in rules]
        self._roots = {root.path: _CompiledRoot(root) for root in roots}
        self._shapes = [PatternShape(rule.pattern.nodes) for rule in self._rules]
        self._extensions = frozenset().union(*(shape.extensions for shape in self._shapes))
        self._session_folders = tuple(dict.fromkeys(naming.session_folder(r.pattern) for r in self._rules))
        self._folder = functools.lru_cache(FOLDERS_KEPT_MAX)(self._look_up_folder)
        self._sessions_of = functools.lru_cache(SESSIONS_KEPT_MAX)(self._find_sessions)
        folders = (
            naming.scene_folder(rule.pattern) for rule in self._rules if rule.entity is EntityType.SCENE
        )
        self._scene_folders = tuple(dict.fromkeys(folder for folder in folders if folder is not None))

    def route(self, root: str, path: str) -> Routing:  # noqa: PLR0911 - one for each kind of answer
        """Say what a file means: ``root`` is one of the roots' paths, ``path`` the file's below it."""
        at = path.rfind("/") + 1
        folder, name = self._folder(root, path[:at]), path[at:]
        if folder.ignored is not None:
            return Ignored(pattern=folder.ignored.source)
        if name in _MARKERS and (marker := self._marker(folder.pins, path)):
            return marker
        if ignored := folder.ignore.first(path, name):
            return Ignored(pattern=ignored.source)
        if not (folder.is_safe and _is_plain(name)) and (reason := _unsafe(path)):
            return Refused(reason=reason) if self.wants(path) else Unmatched(reason=reason)
        for rule in folder.rules:
            may_match = name.endswith(rule.ends) and name.startswith(rule.starts)
            if may_match and (routing := rule.take(path, name)) is not None:
                return routing
        if scratch := matches_any(folder.pins.scratch, path):
            return Ignored(pattern=scratch.source)
        return Misplaced() if self.wants(path) else Unmatched(reason=NO_RULE)

    def _look_up_folder(self, root: str, place: str) -> _Folder:
        return _Folder(self._roots[root], self._rules, place)

    def ignored(self, root: str, path: str) -> Pattern | None:
        """Return the pattern by which whatever is at a path, no matter what it is, is not looked at."""
        at = path.rfind("/") + 1
        folder = self._folder(root, path[:at])
        return folder.ignored or folder.ignore.first(path, path[at:])

    def wants(self, path: str) -> bool:
        """Tell whether a path's extension is in a rule, however it is written."""
        return _extension(path) in self._extensions

    def nearest(self, path: str) -> str:
        """Return what keeps a misplaced path from the rule that is nearest, as one sentence."""
        return nearest(path, _extension(path), self._shapes)

    def route_asset(
        self,
        asset_type: AssetType,
        named: Named,
        fields: Mapping[str, str],
        *,
        name: str,
        key: str | None = None,
    ) -> Route:
        """Route what a program hands over: the first rule of its type says what its path does not.

        ``fields`` are those of ids and keys; ``key`` is a template in place of the rule's. A role is never
        the rule's, which may be about playlists. Raises ValueError for what can never be stored.
        """
        if reason := _unsafe(name):
            raise ValueError(f"{name!r} cannot be an asset's name: {reason}")
        if media.is_playlist(name):
            raise ValueError(WITHHELD_PLAYLIST)
        entity = EntityType.SESSION if named.scene_id is None else EntityType.SCENE
        kind = self._kind_of(asset_type, entity, key)
        try:
            at = name.rfind("/") + 1
            return Routes(kind, fields, named, place=name[:at], folder=None).route(name[at:])
        except keys.KeyRefusedError as error:
            raise ValueError(str(error)) from None

    def _compile_kind(self, asset_type: AssetType, entity: EntityType, key: str | None) -> CompiledRule:
        rules = (one.rule for one in self._rules if one.rule.asset_type == asset_type)
        like = next((rule for rule in rules if rule.entity == entity), None)
        rule = like or RoutingRule(match="**", asset_type=asset_type, entity=entity)
        like_it = replace(rule, name="{name}", role=None, key=key or rule.key)
        return CompiledRule(like_it, ids=self._ids, naming=self._naming, order=self._order)

    def is_in_session(self, root: str, folder: str, session_id: str) -> bool:
        """Tell whether a folder below a root is, or lies in, a session's folder, as any rule names it."""
        return session_id in self._sessions_of(root, folder)

    def _find_sessions(self, root: str, folder: str) -> frozenset[str]:
        pins = self._roots[root].fields
        above = [folder[: slash.start()] for slash in re.finditer("/", folder)]
        found = {
            self._naming.name(EntityType.SESSION, {**pins, **fields}).session_id
            for pattern in self._session_folders
            for path in ([*above, folder] if pattern else [""])
            if (fields := pattern.match(path) if pattern else {}) is not None and is_consistent(fields, pins)
        }
        return frozenset(found)

    def stream_of(self, root: str, path: str) -> StreamOwner | None:
        """Say what the segments of a playlist belong to; None where no rule and no scene's folder tells.

        Rules need not know playlists: then it is what a segment beside it would belong to.
        """
        folder, _, name = path.rpartition("/")
        stem = media.split_name(name)[0]
        for other in (path, *(f"{folder}/{stem}.{kind}".lstrip("/") for kind in _KINDS)):
            if (found := self._stream(self._roots[root], other)) is not None:
                return found
        return self._stream_of_folder(self._roots[root], folder)

    def _stream(self, pins: _CompiledRoot, path: str) -> StreamOwner | None:
        for rule in self._rules:
            if rule.rule.asset_type in VIDEOS and (found := rule.pattern.search(path)):
                fields = {**pins.fields, **found.fields(), **file_fields(path)}
                if not is_consistent(found.fields(), pins.fields):
                    return None
                named = self._naming.name(rule.entity, fields)
                folder = found.folder(self._naming.folder_fields(rule.entity))
                return (
                    StreamOwner(named=named, folder=folder)
                    if named.session_id and named.scene_id != ""
                    else None
                )
        return None

    def _stream_of_folder(self, pins: _CompiledRoot, folder: str) -> StreamOwner | None:
        while folder:
            for pattern in self._scene_folders:
                fields = pattern.match(folder)
                if fields is not None and is_consistent(fields, pins.fields):
                    named = self._naming.name(EntityType.SCENE, {**pins.fields, **fields})
                    return StreamOwner(named=named, folder=folder)
            folder = folder.rpartition("/")[0]
        return None

    def _marker(self, pins: _CompiledRoot, path: str) -> Marker | None:
        folder, _, name = path.rpartition("/")
        kind = _MARKERS.get(name)
        if kind is None or _unsafe(path):
            return None
        for pattern in self._scene_folders:
            fields = pattern.match(folder)
            if fields is not None and is_consistent(fields, pins.fields):
                named = self._naming.name(EntityType.SCENE, {**pins.fields, **fields})
                return Marker(
                    kind=kind,
                    project_id=named.project_id,
                    session_id=named.session_id,
                    scene_id=named.scene_id or "",
                )
        return None


class _CompiledRoot:
    """A root's pins and ignored patterns."""

    def __init__(self, root: Root) -> None:
        self.fields = root.fields
        self._ignore = [Pattern(source) for source in root.ignore]
        self.ignore = [SplitPattern(pattern) for pattern in self._ignore]
        self.scratch = [Pattern(source) for source in root.scratch]

    def ignored_folder(self, place: str) -> Pattern | None:
        """Return the pattern that ignores a folder on the way to a file, and with it all that it holds.

        rsync and editors keep half-written files under their right names in such folders.
        """
        folders = (place[: slash.start()] for slash in re.finditer("/", place))
        named = (folder for folder in folders if folder.rpartition("/")[2] not in (".", ".."))
        return next(filter(None, (matches_any(self._ignore, folder) for folder in named)), None)


class _Folder:
    """What is the same for all files of one folder; ``place`` is what their paths begin with."""

    __slots__ = ("ignore", "ignored", "is_safe", "pins", "rules")

    def __init__(self, pins: _CompiledRoot, rules: Sequence[CompiledRule], place: str) -> None:
        self.pins = pins
        self.ignored = pins.ignored_folder(place)
        self.ignore = NamePatterns(pins.ignore, place)
        self.is_safe = not place or _unsafe(place[:-1]) is None
        left = ((rule, rule.split.in_folder(place)) for rule in rules)
        self.rules = [RuleInFolder(rule, names, place, pins.fields) for rule, names in left if names]


def _extension(path: str) -> str:
    """Return the extension as people mean it: a blank behind it is a slip."""
    return media.extension(path.rpartition("/")[2].rstrip())


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and name not in _NOWHERE


def _unsafe(path: str) -> str | None:
    """Return why no key, no XML listing and no screen could hold this path; None if all can."""
    around = f"/{path}/"
    if "//" in around or "/./" in around or "/../" in around:
        return "its path has an empty, '.' or '..' segment"
    if path.isprintable() and path.isascii():
        return None
    if any("\ud800" <= char <= "\udfff" for char in path):
        return "its name is not UTF-8"
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in "\ufffe\uffff" for char in path):
        return "its name holds control characters"
    return None


__all__ = [
    "WITHHELD_SEGMENT",
    "Ids",
    "Ignored",
    "Marker",
    "Misplaced",
    "Refused",
    "Root",
    "Router",
    "Routing",
    "RoutingRule",
    "StreamOwner",
    "Unmatched",
    "Withheld",
    "object_key",
]  # fmt: skip
