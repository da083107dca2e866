"""Writes the reference of ``LIBRARY.md`` from the docstrings: ``python -m sidecar.library.reference``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path

import sidecar

PAGE = Path(sidecar.__file__).with_name("LIBRARY.md")
_END = "Made from the docstrings by `python -m sidecar.library.reference`.\n"
_ELSEWHERE = frozenset({"Settings", "SettingsError"})  # the configuration has a reference of its own


def render() -> str:
    """Return the page as it should be: what is written by hand, and the reference."""
    by_hand = PAGE.read_text().partition(_END)[0]
    names = [*(name for name in sidecar.__all__ if name not in _ELSEWHERE), "open"]
    entries = [*((name, getattr(sidecar, name)) for name in names), *_tasks()]
    text = "\n".join(line for name, found in entries for line in _entry(name, found))
    return f"{by_hand}{_END}\n{text.rstrip()}\n"


def _tasks() -> Iterator[tuple[str, object]]:
    """Yield the background tasks, without what Celery makes of them. They stand above the library."""
    tasks = import_module("sidecar.tasks")
    for name, found in vars(tasks).items():
        function = inspect.unwrap(getattr(found, "run", found))
        if (
            inspect.isfunction(function)
            and not name.startswith("_")
            and function.__module__ == tasks.__name__
        ):
            yield f"tasks.{name}", function


def _entry(name: str, found: object) -> Iterator[str]:
    yield f"### {name}"
    if inspect.isfunction(found):
        yield f"`{_call(name.rpartition('.')[2], found)}`"
    yield ""
    yield inspect.getdoc(found) or ""
    yield ""
    if inspect.isclass(found):
        if _is_made_by_callers(found):
            yield from (f"`{_call(name, found.__init__)}`", "", inspect.getdoc(found.__init__) or "", "")
        yield from _members(found)


def _is_made_by_callers(found: type) -> bool:
    """Tell whether a class says how it is made, other than a dataclass or an error."""
    return "__init__" in vars(found) and not is_dataclass(found) and not issubclass(found, BaseException)


def _members(found: type) -> Iterator[str]:
    if issubclass(found, Enum):
        yield ", ".join(f"`{member.name}`" for member in found)
        yield ""
    elif is_dataclass(found):
        yield f"Fields: {', '.join(f'`{one.name}: {one.type}`' for one in fields(found))}."
        yield ""
        yield from _methods(found)
    elif not issubclass(found, BaseException):
        yield from _methods(found)


def _methods(found: type) -> Iterator[str]:
    """Yield the public methods, but synchronous twins of coroutines."""
    for name, member in vars(found).items():
        is_twin = inspect.iscoroutinefunction(getattr(found, name.removesuffix("_sync"), None))
        member = member.__func__ if isinstance(member, classmethod | staticmethod) else member  # noqa: PLW2901 - as it is called
        if inspect.isfunction(member) and not name.startswith("_") and not (name[-5:] == "_sync" and is_twin):
            yield f"`{_call(name, member)}`"
            yield ""
            yield inspect.getdoc(member) or ""
            yield ""


def _call(name: str, function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]  # what is passed is a function
    shown = [one for one in signature.parameters.values() if one.name not in {"self", "cls"}]
    returns = "" if signature.return_annotation in {None, "None"} else f" -> {signature.return_annotation}"
    begins = "await " if inspect.iscoroutinefunction(function) else ""
    text = f"{begins}{name}{signature.replace(parameters=shown, return_annotation=signature.empty)}{returns}"
    return re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text).replace("'", "")


if __name__ == "__main__":
    PAGE.write_text(render())
