"""``SIDECAR_S3__BUCKET=lessons``: takes any key from the environment, over the file's.

``__`` separates the parts of a key, a number is a place in a list, and a value that is a JSON object or list
stands for the whole mapping or list. Variables without ``__`` are not ours (Kubernetes injects such for a
service called sidecar): they only warn.

pydantic-settings is not used: it knows neither the line of a key nor places in lists, and reports one source
at a time. Every mistake at once, with ``file:line:column``, is worth this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .problems import Key, Problem, dotted
from .variables import is_null

PREFIX = "SIDECAR_"
KNOWN = frozenset({"SIDECAR_CONFIG"})  # the file's own path, for the command line
LIST_LENGTH_MAX = 1000
DEPTH_MAX = 20
PLACE_DIGITS_MAX = 4


@dataclass(slots=True)
class Overrides:
    """What the environment says: the names of the variables by key, what to warn of, what is wrong."""

    names: dict[Key, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def override(values: Any, environ: Mapping[str, str], *, top_level: frozenset[str]) -> tuple[Any, Overrides]:
    """Return values with the environment's laid over them. ``top_level`` keys need no ``__``."""
    found = Overrides()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in KNOWN:
            continue
        steps = [step.lower() for step in name.removeprefix(PREFIX).split("__")]
        if len(steps) == 1 and steps[0] not in top_level:
            found.warnings.append(
                f"the environment variable {name} has no __ and is no setting; it is not read"
            )
            continue
        key: Key = tuple(map(_step, steps[: DEPTH_MAX + 1]))
        try:
            values = _placed(values, key, _value(environ[name]))
            found.names[key] = name
        except ValueError as error:
            found.problems.append(Problem(where=f"environment variable {name}", key="", message=str(error)))
    return values, found


def _step(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= PLACE_DIGITS_MAX else text


def _value(text: str) -> Any:
    if text[:1] in ("{", "["):
        try:
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            return text  # a template begins with { as well
    return None if is_null(text) else text


def _placed(values: Any, key: Key, value: Any) -> Any:
    """Return a copy of the values with one of them set."""
    if not key:
        return value
    if "" in key or len(key) > DEPTH_MAX:
        raise ValueError("names no key; separate the parts of a key by __, as in SIDECAR_S3__BUCKET")
    first, rest = key[0], key[1:]
    if isinstance(values, list):
        if not isinstance(first, int) or first > min(len(values), LIST_LENGTH_MAX):
            raise ValueError(f"a list of {len(values)} has the places 0 to {len(values)}, not {first}")
        below = values[first] if first < len(values) else None
        return [*values[:first], _placed(below, rest, value), *values[first + 1 :]]
    if isinstance(first, int) and values is None:
        return _placed([], key, value)
    if not isinstance(values, Mapping) and values is not None:
        raise ValueError(f"{dotted((first,))} lies below a key that holds a plain value")
    copied = dict(values or {})
    copied[str(first)] = _placed(copied.get(str(first)), rest, value)
    return copied
