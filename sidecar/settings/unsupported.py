"""Keys that ask for what this version cannot do: they are read and checked, and say so when they are used.

What would act differently from what was asked is refused; what only tunes an absent feature is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import Settings
from .problems import Key, dotted

REFUSED: dict[str, tuple[Any, ...]] = {  # what this version can do
    "convex.sync": ("on", "off"),
}
# Measured by `python -m tests.bench.parts`, with TLS.
CRT = (
    "crt is not built in, since it would be dearer: for a part of 8 MiB awscrt takes 22 ms of CPU where the"
    " client of auto takes 14, and 65 MiB more of memory; write auto"
)


def refused(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yield the keys that ask for what this version cannot do."""
    for name, able in REFUSED.items():
        if (value := _read(settings, name)) not in able:
            yield tuple(name.split(".")), _sentence(value, able)
    if settings.upload.engine == "crt":
        yield ("upload", "engine"), CRT
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
