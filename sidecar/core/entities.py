"""Says how captured fields name a project, a session and a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .model import EntityType
from .patterns import Pattern
from .rules import Ids
from .templates import Template

DEFAULT_PROJECT = "default"
FILE_FIELDS = frozenset({"name", "stem", "ext"})  # of the file itself: also there for ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Who an asset belongs to. ``scene_id`` is None for assets of a session."""

    project_id: str
    session_id: str
    scene_id: str | None


class Naming:
    """The templates of ids, parsed. Raises ValueError for a broken one."""

    __slots__ = ("scene", "session")

    def __init__(self, ids: Ids) -> None:
        """Parse the templates."""
        self.session = Template(ids.session_id)
        self.scene = Template(ids.scene_id)

    def needs(self, entity: EntityType) -> frozenset[str]:
        """Return the fields without which such an entity has no id (``project`` has a default)."""
        return self._fields(entity) - FILE_FIELDS - {"project"}

    def name(self, entity: EntityType, fields: Mapping[str, str]) -> Named:
        """Name the entity of a path. ``fields`` hold the path's captures and the root's pins."""
        filled = {"project": DEFAULT_PROJECT, **fields}
        return Named(
            project_id=filled["project"],
            session_id=self.session.render(filled),
            scene_id=self.scene.render(filled) if entity is EntityType.SCENE else None,
        )

    def is_named_by_file(self, entity: EntityType) -> bool:
        """Tell whether a file's own name is part of the entity's id."""
        return bool(self._fields(entity) & FILE_FIELDS)

    def folder_fields(self, entity: EntityType) -> frozenset[str]:
        """Return the fields that name the entity's folder; none where a file's own name is part of its id."""
        return frozenset() if self.is_named_by_file(entity) else self._fields(entity)

    def scene_folder(self, pattern: Pattern) -> Pattern | None:
        """Return the pattern of the scenes' folders that a scene's rule implies, or None."""
        return pattern.folder(self.folder_fields(EntityType.SCENE))

    def session_folder(self, pattern: Pattern) -> Pattern | None:
        """Return the pattern of the sessions' folders that a rule implies; None: a whole root is one."""
        return pattern.folder(self.folder_fields(EntityType.SESSION))

    def _fields(self, entity: EntityType) -> frozenset[str]:
        scene = self.scene.fields if entity is EntityType.SCENE else frozenset()
        return self.session.fields | scene
