"""Says what a path means: applies the rules, as a pure function of root and path."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from . import keys, media, object_tags
from .asset_metadata import MetadataRefusedError, check_size
from .entities import DEFAULT_PROJECT, Named, Naming
from .misplaced import PatternShape, nearest
from .model import VIDEOS, AssetType, EntityType, Route, Slot
from .patterns import Match, Pattern, is_consistent, matches_any
from .rules import DEFAULT_PRIORITY, Ids, Root, RoutingRule
from .templates import Template

IMMUTABLE = "max-age=31536000, immutable"  # a key with a transfer id never holds other bytes
REVALIDATE = "no-cache"  # a key without one is overwritten in place
SESSIONS_KEPT_MAX = 10_000  # folders whose sessions are known
KINDS_KEPT_MAX = 128  # of assets that programs hand over
_KINDS = ("ts", "m4s", "mp4")
INDEX_DIGITS_MAX = 15  # a JSON number holds 15 digits exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """No rule takes the path, nor its extension; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Misplaced:
    """No rule takes the path, but a rule takes its extension.

    ``reason`` is one sentence; None: ``Router.nearest`` finds it, at some cost.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A rule takes the path, but it can never be stored; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The configuration says not to look at the path."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A file that says something about a scene: complete, or cancelled. Its content is never sent."""

    kind: Literal["complete", "cancelled"]
    project_id: str
    session_id: str
    scene_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A rule takes the path, but this version cannot ship it; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOwner:
    """What a playlist's segments belong to; ``folder`` is that entity's, None where it has none."""

    named: Named
    folder: str | None


Routing = Route | Unmatched | Misplaced | Refused | Ignored | Marker | Withheld
NO_RULE = "no rule matches its path"
_MARKERS: dict[str, Literal["complete", "cancelled"]] = {".complete": "complete", ".cancelled": "cancelled"}
_WITHHELD_PLAYLIST = "HLS and DASH playlists are not shipped by this version; the file is held"
WITHHELD_SEGMENT = "it is a segment of {playlist}: HLS and DASH are not shipped by this version; it is held"


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
        self._rules = [_Compiled(rule, ids=ids, order=order) for rule in rules]
        self._roots = {root.path: _CompiledRoot(root) for root in roots}
        self._shapes = [PatternShape(rule.pattern.nodes) for rule in self._rules]
        self._extensions = frozenset().union(*(shape.extensions for shape in self._shapes))
        self._session_folders = tuple(dict.fromkeys(naming.session_folder(r.pattern) for r in self._rules))
        self._sessions_of = functools.lru_cache(SESSIONS_KEPT_MAX)(self._find_sessions)
        folders = (
            naming.scene_folder(rule.pattern) for rule in self._rules if rule.entity is EntityType.SCENE
        )
        self._scene_folders = tuple(dict.fromkeys(folder for folder in folders if folder is not None))

    def route(self, root: str, path: str) -> Routing:  # noqa: PLR0911 - one for each kind of answer
        """Say what a file means: ``root`` is one of the roots' paths, ``path`` the file's below it."""
        pins = self._roots[root]
        if ignored := pins.ignored_folder(path):
            return Ignored(pattern=ignored.source)
        if marker := self._marker(pins, path):
            return marker
        if ignored := matches_any(pins.ignore, path):
            return Ignored(pattern=ignored.source)
        if reason := _unsafe(path):
            return Refused(reason=reason) if self.wants(path) else Unmatched(reason=reason)
        for rule in self._rules:
            if found := rule.pattern.search(path):
                return self._take(pins, rule, found)
        if scratch := matches_any(pins.scratch, path):
            return Ignored(pattern=scratch.source)
        return Misplaced() if self.wants(path) else Unmatched(reason=NO_RULE)

    def ignored(self, root: str, path: str) -> Pattern | None:
        """Return the pattern by which whatever is at a path, no matter what it is, is not looked at."""
        pins = self._roots[root]
        return pins.ignored_folder(path) or matches_any(pins.ignore, path)

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
            raise ValueError(_WITHHELD_PLAYLIST)
        entity = EntityType.SESSION if named.scene_id is None else EntityType.SCENE
        kind = self._kind_of(asset_type, entity, key)
        try:
            return kind.route({**fields, **_file_fields(name)}, named, path=name, folder=None)
        except keys.KeyRefusedError as error:
            raise ValueError(str(error)) from None

    def _compile_kind(self, asset_type: AssetType, entity: EntityType, key: str | None) -> _Compiled:
        rules = (one.rule for one in self._rules if one.rule.asset_type == asset_type)
        like = next((rule for rule in rules if rule.entity == entity), None)
        rule = like or RoutingRule(match="**", asset_type=asset_type, entity=entity)
        return _Compiled(
            replace(rule, name="{name}", role=None, key=key or rule.key), ids=self._ids, order=self._order
        )

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
                fields = {**pins.fields, **found.fields(), **_file_fields(path)}
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

    def _take(self, pins: _CompiledRoot, rule: _Compiled, found: Match) -> Routing:
        name = found.path.rpartition("/")[2]
        fields = found.fields()
        if not is_consistent(fields, pins.fields):
            return Misplaced(reason=_contradiction(fields, pins.fields))
        if media.is_playlist(name):
            return Withheld(reason=_WITHHELD_PLAYLIST)
        values = {**pins.fields, **fields, **_file_fields(found.path)}
        named = self._naming.name(rule.entity, values)
        if not named.session_id or named.scene_id == "":
            return Misplaced(reason="its path gives its session or scene an empty id")
        folder = found.folder(self._naming.folder_fields(rule.entity))
        try:
            return rule.route(values, named, path=found.path, folder=folder)
        except (keys.KeyRefusedError, MetadataRefusedError) as error:
            return Refused(reason=str(error))


class _CompiledRoot:
    """A root's pins and ignored patterns."""

    def __init__(self, root: Root) -> None:
        self.fields = root.fields
        self.ignore = [Pattern(source) for source in root.ignore]
        self.scratch = [Pattern(source) for source in root.scratch]
        self._looked_up: tuple[str, Pattern | None] = ("", None)  # the last folder: its files come together

    def ignored_folder(self, path: str) -> Pattern | None:
        """Return the pattern that ignores a folder on the way to ``path``, and with it all that it holds.

        rsync and editors keep half-written files under their right names in such folders.
        """
        folder = path.rpartition("/")[0]
        known, ignored_by = self._looked_up
        if folder != known:
            ignored_by = self._ignored_by(f"{folder}/") if folder else None
            self._looked_up = folder, ignored_by
        return ignored_by

    def _ignored_by(self, path: str) -> Pattern | None:
        folders = (path[: slash.start()] for slash in re.finditer("/", path))
        named = (folder for folder in folders if folder.rpartition("/")[2] not in (".", ".."))
        return next(filter(None, (matches_any(self.ignore, folder) for folder in named)), None)


class _Compiled:
    """A rule with its templates parsed."""

    def __init__(self, rule: RoutingRule, *, ids: Ids, order: Sequence[AssetType]) -> None:
        self.rule = rule
        self.entity = rule.entity
        self.pattern = Pattern(rule.match)
        self.key = Template(rule.key or ids.key)
        self.name = Template(rule.name)
        self.metadata = {name: Template(value) for name, value in rule.metadata.items()}
        self.tags = {name: Template(value) for name, value in rule.tags.items()}
        self.priority = order.index(rule.asset_type) if rule.priority is None else rule.priority

    def route(self, values: Mapping[str, str], named: Named, *, path: str, folder: str | None) -> Route:
        """Return the route of a path that matched. Raises KeyRefusedError, MetadataRefusedError."""
        everything: dict[str, str | None] = {
            "project": DEFAULT_PROJECT,
            **values,
            "path": path[len(folder) + 1 :] if folder else path,
            "asset_type": str(self.rule.asset_type),
            "session_id": named.session_id,
            "scene_id": named.scene_id,
        }
        key = keys.open_key(self.key, everything)
        default_cache = IMMUTABLE if keys.is_unique(key) else REVALIDATE
        return Route(
            slot=Slot(
                session_id=named.session_id,
                entity_type=self.entity,
                entity_id=named.scene_id or named.session_id,
                asset_type=self.rule.asset_type,
                name=self.name.render(everything) or values["name"],
            ),
            project_id=named.project_id,
            key=key,
            index=_index(values.get("index"), values["stem"]),
            role=self.rule.role,
            content_type=self.rule.content_type or media.content_type(values["name"]),
            cache_control=self.rule.cache_control or default_cache,
            priority=self.priority,
            settle_seconds=self.rule.settle_seconds,
            check_structure=self.rule.check_structure,
            entity_folder=folder,
            metadata=_rendered(self.metadata, everything),
            heeds_playlists=self.rule.heeds_playlists,
            tags=object_tags.valid(_rendered(self.tags, everything)),
            storage_class=self.rule.storage_class,
            content_disposition=self._disposition(values["name"]),
        )

    def _disposition(self, name: str) -> str | None:
        asked = self.rule.content_disposition
        return asked and media.content_disposition(asked, name)


def _file_fields(path: str) -> dict[str, str]:
    name = path.rpartition("/")[2]
    stem, ext = media.split_name(name)
    return {"name": name, "stem": stem, "ext": ext}


def _rendered(templates: Mapping[str, Template], values: Mapping[str, str | None]) -> dict[str, str]:
    texts = ((name, template.render(values)) for name, template in templates.items())
    metadata = {name: text for name, text in texts if text}
    if metadata:
        check_size(metadata)
    return metadata


def _extension(path: str) -> str:
    """Return the extension as people mean it: a blank behind it is a slip."""
    return media.extension(path.rpartition("/")[2].rstrip())


def _index(captured: str | None, stem: str) -> int | None:
    """Return the number in ``{index}``, else the last digits of the stem, if there are 1 to 15."""
    digits = re.findall("[0-9]+", stem if captured is None else captured)
    return int(digits[-1]) if digits and len(digits[-1]) <= INDEX_DIGITS_MAX else None


def _contradiction(fields: Mapping[str, str], pinned: Mapping[str, str]) -> str:
    name, value = next((name, value) for name, value in fields.items() if pinned.get(name, value) != value)
    return f"its path names {name} {value!r}, but this root is pinned to {pinned[name]!r}"


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
