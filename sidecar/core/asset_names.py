"""Names what a program hands over: from session and scene ids back to the fields that make them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from .asset_arguments import require_text
from .entities import DEFAULT_PROJECT, FILE_FIELDS, Named
from .rules import Ids
from .templates import Ref, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEntity:
    """A session or a scene, and the ``fields`` of keys that its ids tell."""

    named: Named
    fields: Mapping[str, str]


def name_session(ids: Ids, session_id: str, *, project_id: str | None = None) -> NamedEntity:
    """Name a session. Its project is what ``entities.session_id`` says, unless it is given.

    Raises TypeError, ValueError for what is no id, for one of another project, and for one that should tell
    its project and does not.
    """
    require_text("session_id", session_id)
    if project_id is not None:
        require_text("project_id", project_id)
    template = _template(ids.session_id)
    found = _fields(ids.session_id, session_id)
    told = found.get("project")
    if "project" in template.fields and told is None and project_id is None:
        raise ValueError(
            f"session_id {session_id!r} names no project, as entities.session_id ({ids.session_id}) has it:"
            " give project_id"
        )
    if project_id is not None and told not in {None, project_id}:
        raise ValueError(
            f"session {session_id!r} is of project {told!r} by entities.session_id ({ids.session_id}),"
            f" and project_id is {project_id!r}"
        )
    project = project_id or told or DEFAULT_PROJECT
    named = Named(project_id=project, session_id=session_id, scene_id=None)
    return NamedEntity(named=named, fields={**found, "project": project})


def name_scene(
    ids: Ids, scene_id: str, *, session_id: str | None, project_id: str | None = None
) -> NamedEntity:
    """Name a scene. Without a session it must be told by the scene's id, as ``entities.scene_id`` makes it.

    Raises ValueError where it is not, and as ``name_session``.
    """
    require_text("scene_id", scene_id)
    found = _fields(ids.scene_id, scene_id)
    session = _template(ids.session_id)
    if session_id is None:
        missing = session.fields - {"project"} - found.keys()
        if missing or not found:
            raise ValueError(
                "session_id is required: scene ids are unique within their session only"
                f" (entities.scene_id is {ids.scene_id})"
            )
        session_id = session.render({"project": DEFAULT_PROJECT, **found})
    of = name_session(ids, session_id, project_id=project_id)
    named = Named(project_id=of.named.project_id, session_id=session_id, scene_id=scene_id)
    return NamedEntity(named=named, fields={"scene": scene_id, **found, **of.fields})


@lru_cache(maxsize=64)  # a program has two, and asks for each asset
def _template(source: str) -> Template:
    return Template(source)


@lru_cache(maxsize=64)
def _pattern(source: str) -> re.Pattern[str]:
    seen, segments = set[str](), _template(source).segments
    pattern = "/".join("".join(_token(token, seen) for token in one.tokens) for one in segments)
    return re.compile(pattern, re.DOTALL)


def _fields(template: str, text: str) -> dict[str, str]:
    """Return the fields by which a template would give this text; none where it never would."""
    found = _pattern(template).fullmatch(text)
    return {} if found is None else {k: v for k, v in found.groupdict().items() if k not in FILE_FIELDS}


def _token(token: str | Ref, seen: set[str]) -> str:
    if not isinstance(token, Ref):
        return re.escape(token)
    if token.name in seen:
        return f"(?P={token.name})"
    seen.add(token.name)
    return f"(?P<{token.name}>[^/]+)"
