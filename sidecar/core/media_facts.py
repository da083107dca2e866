"""What the structure of a film or picture tells of it, for whoever shows it before a byte of it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PIXELS_MAX = 65_535
DURATION_MS_MAX = 366 * 24 * 3_600_000  # longer ones are a damaged header's
FRAME_RATE_MAX = 1_000.0
_WIRE = {
    "duration_ms": "duration",
    "width": "width",
    "height": "height",
    "frame_rate": "frameRate",
    "codec": "codec",
}
FIELDS = frozenset(_WIRE.values())  # of an asset on the wire


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """None where the structure does not tell.

    ``width`` and ``height`` are pixels as they are shown: a film that is turned by its header is turned here.
    ``frame_rate`` is the mean, of fragments the usual one, in frames per second. ``codec`` is that of the
    video, else of the audio, by the name that ffprobe gives it. Whatever cannot be true is left out.
    """

    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    codec: str | None = None

    def wire(self) -> Mapping[str, Any]:
        """Return the fields of an asset on the wire; those that are known."""
        values = {name: getattr(self, field) for field, name in _WIRE.items()}
        return {name: value for name, value in values.items() if value is not None}


def plausible(
    *,
    duration_ms: float | None = None,
    width: int | None = None,
    height: int | None = None,
    frame_rate: float | None = None,
    codec: str | None = None,
) -> MediaFacts | None:
    """Return what of it can be true, None where nothing is left."""
    has_size = (
        width is not None and height is not None and 0 < width <= PIXELS_MAX and 0 < height <= PIXELS_MAX
    )
    has_duration = duration_ms is not None and 0 < duration_ms <= DURATION_MS_MAX
    has_rate = frame_rate is not None and 0 < frame_rate <= FRAME_RATE_MAX
    if not (has_size or has_duration or has_rate or codec is not None):
        return None
    return MediaFacts(
        duration_ms=max(1, round(duration_ms)) if has_duration and duration_ms is not None else None,
        width=width if has_size else None,
        height=height if has_size else None,
        frame_rate=round(frame_rate, 3) if has_rate and frame_rate is not None else None,
        codec=codec,
    )
