"""Measures how much the bodies on the line move in all, over some seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sidecar.core.standstill import SPAN_SECONDS
from sidecar.core.upload_window import Flow, weight

from .call import Call

MEASURE_SECONDS = 3.0


class ThroughputGauge:
    """Adds up what bodies under way moved, once each has filled the buffers on its way."""

    def __init__(self, at: float | None = None) -> None:
        """Begin at the first look, or at a time."""
        self._at, self._seconds, self._bytes = at, 0.0, 0
        self._weight_seconds, self._length_seconds = 0.0, 0.0

    def take(self, calls: Iterable[Call], now: float) -> None:
        """Add the time since the last look."""
        seconds, self._at = now - (self._at if self._at is not None else now), now
        settled = [call for call in calls if call.is_settled]
        if not settled or seconds <= 0:
            return
        self._seconds += seconds
        self._bytes += sum(call.gained_bytes for call in settled)
        self._weight_seconds += seconds * sum(weight(call.length_bytes) for call in settled)
        self._length_seconds += seconds * sum(call.length_bytes for call in settled)

    def flow(self) -> Flow | None:
        """Return what was seen, once that is enough."""
        if self._seconds < MEASURE_SECONDS:
            return None
        return Flow(
            bodies=self._weight_seconds / self._seconds,
            bytes_per_second=self._bytes / self._seconds,
            body_bytes=self._length_seconds / self._weight_seconds,
        )


class Share:
    """What one body gets of the line, over the last ``SPAN_SECONDS``."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._looks: deque[tuple[float, int, int]] = deque()  # when, bodies, bytes since the look before

    def take(self, calls: Iterable[Call], now: float) -> None:
        """Look once more."""
        settled = [call for call in calls if call.is_settled]
        if settled:
            self._looks.append((now, len(settled), sum(call.gained_bytes for call in settled)))
        while self._looks and now - self._looks[0][0] > SPAN_SECONDS:
            self._looks.popleft()

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes a second for each; None while too little was seen, or nothing moved."""
        seconds = self._looks[-1][0] - self._looks[0][0] if self._looks else 0.0
        if seconds < MEASURE_SECONDS:
            return None
        bodies = sum(bodies for _, bodies, _ in self._looks) / len(self._looks)
        return sum(gained for _, _, gained in self._looks) / seconds / bodies or None
