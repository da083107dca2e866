"""Makes routes of the files that a rule takes; what those of one folder share is made once for all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from . import keys, media, object_tags
from .asset_metadata import MetadataRefusedError, check_size
from .entities import DEFAULT_PROJECT, Named, Naming
from .folder_patterns import NamePattern, SplitPattern
from .makers import maker
from .model import AssetType, Route, Slot
from .patterns import Match, Pattern, is_consistent
from .routings import Misplaced, Refused, Routing, Withheld
from .rules import Ids, RoutingRule
from .templates import Template

IMMUTABLE = "max-age=31536000, immutable"  # a key with a transfer id never holds other bytes
REVALIDATE = "no-cache"  # a key without one is overwritten in place
INDEX_DIGITS_MAX = 15  # a JSON number holds 15 digits exactly
WITHHELD_PLAYLIST = "HLS and DASH playlists are not shipped by this version; the file is held"
_DIGITS = re.compile("[0-9]+")
_slot_of, _route_of = maker(Slot), maker(Route)  # of values in the order of their fields


class CompiledRule:
    """A rule with its templates parsed."""

    def __init__(self, rule: RoutingRule, *, ids: Ids, naming: Naming, order: Sequence[AssetType]) -> None:
        """Raises ValueError for a rule that cannot work; ``order`` says which asset types go first."""
        self.rule, self.entity, self.naming = rule, rule.entity, naming
        self.pattern = Pattern(rule.match)
        self.split = SplitPattern(self.pattern)
        self.key = Template(rule.key or ids.key)
        self.name = Template(rule.name)
        self.metadata = {name: Template(value) for name, value in rule.metadata.items()}
        self.tags = {name: Template(value) for name, value in rule.tags.items()}
        self.priority = order.index(rule.asset_type) if rule.priority is None else rule.priority
        self.folder_fields = naming.folder_fields(rule.entity)
        self.is_named_by_file = naming.is_named_by_file(rule.entity)

    def take(self, found: Match, place: str, pins: Mapping[str, str]) -> Misplaced | Routes:
        """Say what a file means that matched, and those beside it that matched with the same fields."""
        fields = found.fields()
        if not is_consistent(fields, pins):
            return Misplaced(reason=_contradiction(fields, pins))
        values = {**pins, **fields}
        file = file_fields(found.path) if self.is_named_by_file else {}
        named = self.naming.name(self.entity, {**values, **file})
        return Routes(self, values, named, place=place, folder=found.folder(self.folder_fields))


class Routes:
    """The routes of files in one folder that share their fields, but for those of each file's own name."""

    def __init__(
        self, of: CompiledRule, fields: Mapping[str, str], named: Named, *, place: str, folder: str | None
    ) -> None:
        """``place`` is what their paths begin with, ``folder`` the entity's."""
        self._of, self._rule, self._named = of, of.rule, named
        self._inner = place[len(folder) + 1 :] if folder else place
        self._values: dict[str, str | None] = {
            "project": DEFAULT_PROJECT,
            **fields,
            "asset_type": str(of.rule.asset_type),
            "session_id": named.session_id,
            "scene_id": named.scene_id,
        }
        self._index = fields.get("index")
        self._key = keys.KeyForm(of.key, self._values)
        self._name = of.name.formatted(self._values, keys.FILE_FIELDS)
        rule, entity_id = of.rule, named.scene_id or named.session_id
        self._slot = named.session_id, rule.entity, entity_id, rule.asset_type  # all but its name
        cache_control = rule.cache_control or (IMMUTABLE if self._key.is_unique else REVALIDATE)
        # cache_control to entity_folder
        self._common = cache_control, of.priority, rule.settle_seconds, rule.check_structure, folder

    def take(self, name: str) -> Routing:
        """Say what one of them means."""
        stem, ext = media.split_name(name)
        if (extension := ext[1:].lower()) in media.PLAYLISTS:
            return Withheld(reason=WITHHELD_PLAYLIST)
        if not self._named.session_id or self._named.scene_id == "":
            return Misplaced(reason="its path gives its session or scene an empty id")
        try:
            return self._route(name, stem, ext, extension)
        except (keys.KeyRefusedError, MetadataRefusedError) as error:
            return Refused(reason=str(error))

    def route(self, name: str) -> Route:
        """Return the route of one of them. Raises KeyRefusedError, MetadataRefusedError."""
        return self._route(name, *media.split_name(name), media.extension(name))

    def _route(self, name: str, stem: str, ext: str, extension: str) -> Route:
        named, rule = self._named, self._rule
        file = {"name": name, "stem": stem, "ext": ext, "path": self._inner + name}
        slot = (*self._slot, self._name.format_map(file) or name)
        values = (
            _slot_of(*slot),
            named.project_id,
            self._key.open(file),
            _index(stem if self._index is None else self._index),
            rule.role,
            rule.content_type or media.CONTENT_TYPES.get(extension, media.UNKNOWN),
            *self._common,
            self._rendered(self._of.metadata, file) if self._of.metadata else {},
            rule.heeds_playlists,
            object_tags.valid(self._rendered(self._of.tags, file)) if self._of.tags else {},
            rule.storage_class,
            rule.content_disposition and media.content_disposition(rule.content_disposition, name),
        )
        return _route_of(*values)

    def _rendered(self, templates: Mapping[str, Template], file: Mapping[str, str]) -> dict[str, str]:
        values = {**self._values, **file}
        texts = ((name, template.render(values)) for name, template in templates.items())
        rendered = {name: text for name, text in texts if text}
        if rendered:
            check_size(rendered)
        return rendered


class RuleInFolder:
    """A rule in a folder in which files may match it."""

    __slots__ = ("_names", "_pins", "_place", "_rule", "_shared", "ends", "starts")

    def __init__(self, rule: CompiledRule, names: NamePattern, place: str, pins: Mapping[str, str]) -> None:
        """``pins`` are the fields of the root."""
        self._rule, self._names, self._place, self._pins = rule, names, place, pins
        self._shared: Misplaced | Routes | None = None
        self.starts, self.ends = names.starts, names.ends  # of each name that may match

    def take(self, path: str, name: str) -> Routing | None:
        """Say what the rule makes of a file whose name begins and ends so; None if it does not match."""
        if (taken := self._shared) is None:
            if (found := self._names.search(path, name)) is None:
                return None
            taken = self._rule.take(found, self._place, self._pins)
            if self._names.is_plain and not self._rule.is_named_by_file:
                self._shared = taken
        return taken.take(name) if isinstance(taken, Routes) else taken


def file_fields(path: str) -> dict[str, str]:
    """Return what a file's name gives: ``name``, ``stem`` and ``ext``."""
    name = path.rpartition("/")[2]
    stem, ext = media.split_name(name)
    return {"name": name, "stem": stem, "ext": ext}


def _index(text: str) -> int | None:
    """Return the last digits of ``{index}``, else of the stem, if there are 1 to 15."""
    digits = _DIGITS.findall(text)
    return int(digits[-1]) if digits and len(digits[-1]) <= INDEX_DIGITS_MAX else None


def _contradiction(fields: Mapping[str, str], pinned: Mapping[str, str]) -> str:
    name, value = next((name, value) for name, value in fields.items() if pinned.get(name, value) != value)
    return f"its path names {name} {value!r}, but this root is pinned to {pinned[name]!r}"
