"""Says pydantic's errors in this project's words: what is wrong, what would be right; never a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .known_keys import known_keys, near_word, suggestion
from .problems import Key

_MODES = (
    "needs mode: jwt, token_file, deploy_key or none, and that mode's keys beside it (jwt: issuer, audience,"
    " private_key_file; token_file: token_file; deploy_key: deploy_key_file)"
)
_MODE_WORDS = ("jwt", "token_file", "deploy_key", "none")
_ABSENT = object()
_PLAIN = {
    "union_tag_invalid": _MODES,
    "union_tag_not_found": _MODES,
    "too_short": "needs at least one entry",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "float_parsing": "must be a time such as 30s",
    "float_type": "must be a time such as 30s",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "path_type": "must be a path such as /run/secrets/key",
    "string_too_short": "is empty; leave it out or write a value",
    "too_long": "has too many entries",
}
_EMPTY = "is empty; leave the key out or write what belongs below it"


def explain(error: ValidationError, values: Any) -> Iterator[tuple[Key, str]]:
    """Yield the key and the sentence of each mistake in ``values``."""
    for details in error.errors(include_url=False):
        key = _key(details, values)
        yield key, _sentence(details, key)


def _key(details: ErrorDetails, values: Any) -> Key:
    """Return where the mistake is in the file: pydantic's location without the names of its own branches."""
    key: Key = ()
    here = values
    for place, step in enumerate(details["loc"]):
        below = _below(here, step)
        if below is _ABSENT and not (details["type"] == "missing" and place == len(details["loc"]) - 1):
            continue
        here = below
        key = (*key, step)
    return key


def _below(values: Any, step: str | int) -> Any:
    if isinstance(values, Mapping):
        return values.get(step, _ABSENT)
    if isinstance(values, list | tuple) and isinstance(step, int) and step < len(values):
        return values[step]
    return _ABSENT


def _sentence(details: ErrorDetails, key: Key) -> str:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "union_tag_invalid" and (mode := given.get("mode")) is not None:
        return f"{_MODES}, not mode: {mode}{near_word(mode, _MODE_WORDS)}"
    if kind in ("literal_error", "enum"):
        words = _words(key) or [word.strip("'") for word in str(context["expected"]).split(", ")]
        return f"{_shown(given)} is not allowed; write {_listed(words)}{near_word(given, words)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        least = "ge" in context
        limit = f"least {context['ge']}" if least else f"most {context['le']}"
        return f"{given} is too {'small' if least else 'large'}; write at {limit}"
    return _shape(kind, given, key) or _PLAIN.get(kind) or details["msg"]


def _shape(kind: str, given: Any, key: Key) -> str | None:
    """Say what is wrong with the shape of the file; None for other mistakes."""
    match kind:
        case "missing":
            return f"is required: {_description(key)}"
        case "extra_forbidden":
            return f"is no key here; {suggestion(str(key[-1]), key[:-1])}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return _EMPTY if given is None else "must hold keys below it, not a plain value"
        case "tuple_type" | "list_type":
            return _EMPTY if given is None else "must be a list; begin each entry with '- '"
        case "string_type":
            return _text_wanted(given)
    return None


def _text_wanted(given: Any) -> str:
    if given is None:
        return "is empty; leave the key out or write a value"
    if isinstance(given, Mapping):
        return "must be text; put a pattern or template that begins with { in quotes"
    return "must be text"


def _words(key: Key) -> list[str]:
    """Return what an enumeration allows, in the contract's order."""
    field = known_keys(key[:-1]).get(str(key[-1])) if key and isinstance(key[-1], str) else None
    members = getattr(field.annotation, "__members__", {}) if field else {}
    return [str(member.value) for member in members.values()]


def _shown(given: Any) -> str:
    return repr(given) if isinstance(given, str | int | float) else "this"


def _listed(words: list[str]) -> str:
    words = [step for word in words for step in word.replace("'", "").split(" or ")]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _description(key: Key) -> str:
    field = known_keys(key[:-1]).get(str(key[-1]))
    return (field.description if field else None) or "write it"
