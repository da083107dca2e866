"""Shows settings to people and editors: masked, and as a JSON Schema."""

from __future__ import annotations

from typing import Any

from .descriptions import described
from .known_keys import sections
from .model import Settings


def masked(settings: Settings) -> dict[str, Any]:
    """Return the effective settings by the file's keys, in its units, with secrets masked."""
    return settings.model_dump(mode="json", by_alias=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, with the description of every key."""
    schema = Settings.model_json_schema(by_alias=True)
    for section in sections():
        shown = schema if section is Settings else schema["$defs"][section.__name__]
        for key, field in described(section).items():
            if field.description is not None:
                shown["properties"][key]["description"] = field.description
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "render-sidecar"
    for section in (schema, *schema["$defs"].values()):
        for field in section.get("properties", {}).values():
            _describe(field, schema["$defs"])
    return schema


def _describe(field: dict[str, Any], sections: dict[str, Any]) -> None:
    """A key that only refers to a section is described as that section is."""
    if "description" not in field and "$ref" in field:
        field["description"] = sections[field["$ref"].rpartition("/")[2]]["description"]
