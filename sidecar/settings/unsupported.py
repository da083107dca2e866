"""Keys whose feature comes in a later version: they are read and checked, and say so when they are used.

What would act differently from what was asked is refused; what only tunes an absent feature is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import Settings
from .problems import Key, dotted

REFUSED: dict[str, tuple[Any, ...]] = {  # what this version can do
    "upload.engine": ("auto", "aioboto3"),
    "convex.sync": ("on", "off"),
    "convex.on_refused": ("keep",),
    "convex.on_unknown_entity": ("create",),
}


def refused(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yield the keys that ask for what this version cannot do."""
    for name, able in REFUSED.items():
        if (value := _read(settings, name)) not in able:
            yield tuple(name.split(".")), _sentence(value, able)
    for place, watch in enumerate(settings.watch):
        if watch.chunks != "final":
            yield ("watch", place, "chunks"), _sentence(watch.chunks, ("final",))


def idle(settings: Settings) -> Iterator[str]:
    """Yield a warning for each key that tunes a feature that is not there yet."""
    for place, rule in enumerate(settings.rules):
        if rule.grow_ahead == "auto":
            yield f"{dotted(('rules', place, 'grow_ahead'))} is read, but its feature comes later"


def _sentence(value: Any, able: tuple[Any, ...]) -> str:
    words = " or ".join("null" if word is None else str(word).lower() for word in able)
    return f"{str(value).lower()} comes in a later version; this one knows {words}"


def _read(settings: Settings, name: str) -> Any:
    value: Any = settings
    for step in name.split("."):
        value = getattr(value, step)
    return value
