"""Writes the reference of ``LIBRARY.md`` from the docstrings: ``python -m sidecar.library.reference``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path

import sidecar

PAGE = Path(sidecar.__file__).with_name("LIBRARY.md")
_END = "Made from the docstrings by `python -m sidecar.library.reference`.\n"
_ELSEWHERE = frozenset({"Settings", "SettingsError"})  # the configuration has a reference of its own


def render() -> str:
    """Return the page as it should be: what is written by hand, and the reference."""
    by_hand = PAGE.read_text().partition(_END)[0]
    names = [name for name in sidecar.__all__ if name not in _ELSEWHERE]
    return f"{by_hand}{_END}\n" + "\n".join(line for name in names for line in _entry(name)).rstrip() + "\n"


def _entry(name: str) -> Iterator[str]:
    found = getattr(sidecar, name)
    yield f"### {name}"
    if inspect.isfunction(found):
        yield f"`{_call(name, found)}`"
    yield ""
    yield inspect.getdoc(found) or ""
    yield ""
    if inspect.isclass(found):
        yield from _members(found)


def _members(found: type) -> Iterator[str]:
    if issubclass(found, Enum):
        yield ", ".join(f"`{member.name}`" for member in found)
        yield ""
    elif is_dataclass(found):
        yield f"Fields: {', '.join(f'`{name}`' for name in found.__dataclass_fields__)}."
        yield ""
    elif not issubclass(found, BaseException):
        yield from _methods(found)


def _methods(found: type) -> Iterator[str]:
    """Yield the public methods, but synchronous twins of coroutines."""
    for name, member in vars(found).items():
        is_twin = inspect.iscoroutinefunction(getattr(found, name.removesuffix("_sync"), None))
        if inspect.isfunction(member) and not name.startswith("_") and not (name[-5:] == "_sync" and is_twin):
            yield f"`{_call(name, member)}`"
            yield ""
            yield inspect.getdoc(member) or ""
            yield ""


def _call(name: str, function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]  # what is passed is a function
    shown = [one for one in signature.parameters.values() if one.name != "self"]
    returns = "" if signature.return_annotation in {None, "None"} else f" -> {signature.return_annotation}"
    begins = "await " if inspect.iscoroutinefunction(function) else ""
    text = f"{begins}{name}{signature.replace(parameters=shown, return_annotation=signature.empty)}{returns}"
    return re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text).replace("'", "")


if __name__ == "__main__":
    PAGE.write_text(render())
