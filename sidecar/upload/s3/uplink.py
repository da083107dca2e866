"""The line to S3: every call that is on it, whether each still moves, and how many bodies go at once.

Two times a second, while anything is under way, the kernel is asked what has arrived of each body that is not
new (``connections/tcp_info.py``). ``core/standstill.py`` and ``core/upload_window.py`` decide what to make of
it. Connections that break count as the line's trouble, and not as an object's, if those of other objects
broke in the last ten minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from sidecar.core import upload_window
from sidecar.core.standstill import LineState, Standstill, ending, gap_seconds, wants_proof
from sidecar.upload.limits import Lane

from .call import TICK_SECONDS, Call
from .throughput import Share, ThroughputGauge

USUAL_BYTES_MIN = 64 * 1024  # smaller bodies tell of round trips
USUAL_FRESH_SECONDS = 120.0
USUAL_WEIGHT = 0.3
BREAKS_SECONDS = 600.0
ASK_PAUSE_SECONDS = 2.0
LIGHT_WEIGHT = 0.25  # such a body passes by those that wait, in a lane of its own
_UNIT = 1000  # of a weight


class Uplink:
    """What all calls to S3 have in common. Not for threads."""

    def __init__(self, *, most: int) -> None:
        """``most`` bodies are sent at once at most."""
        self.window = upload_window.opened(most)
        self.ask: Callable[[], Awaitable[bool]] | None = None  # tells whether S3 answers
        self._calls: set[Call] = set()
        self._heavy, self._light = Lane(self._units), Lane(self._units)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._moved_at, self._moving_since, self._mute_at = float("-inf"), float("inf"), float("-inf")
        self._usual: tuple[float, float] | None = None  # pace, when it was seen last
        self._breaks: dict[str, float] = {}
        self._gauge, self._share = ThroughputGauge(), Share()

    def turn(self, length_bytes: int) -> tuple[Lane, int]:
        """Return where a body of that length waits for its turn, and how much of the window it takes."""
        weight = upload_window.weight(length_bytes)
        return self._light if weight <= LIGHT_WEIGHT else self._heavy, max(1, int(weight * _UNIT))

    def call(self, silent_seconds: float, *, length_bytes: int = 0) -> Call:
        """Return the watch over one call, a context manager."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return Call(self, self._loop, silent_seconds, length_bytes)

    def slowed(self, now: float) -> None:
        """Take in that S3 asks for less."""
        self._become(upload_window.slowed(self.window, now))

    def broke(self, target: str, now: float) -> bool:
        """Take in a connection that broke under a body; tell whether those of others did lately, too."""
        self._breaks = {name: at for name, at in self._breaks.items() if now - at < BREAKS_SECONDS}
        self._breaks[target] = now
        return len(self._breaks) > 1

    async def close(self) -> None:
        """Ask nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    # -- for calls ---------------------------------------------------------------------------------
    def begun(self, call: Call) -> None:
        """Look after a call from here on."""
        self._calls.add(call)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def over(self, call: Call, *, arrived: bool, now: float) -> None:
        """Let go of a call; learn from one that arrived, and from a body that did not."""
        self._calls.discard(call)
        seconds = now - call.begun_at
        if arrived:
            self.moved(now, call.silent_seconds)
        if call.length_bytes and arrived:
            if call.length_bytes >= USUAL_BYTES_MIN:
                self._learn(call.length_bytes, seconds, now)
            self._become(upload_window.passed(self.window, call.length_bytes, seconds, now))

    def moved(self, now: float, silent_seconds: float) -> None:
        """Take in that a byte of some call arrived, or came back."""
        if now - self._moved_at > gap_seconds(silent_seconds):
            self._moving_since = now
        self._moved_at = now

    def troubled(self, call: Call, now: float) -> None:
        """Take in a body that was cut off or given up."""
        self._become(upload_window.troubled(self.window, now - call.begun_at, now))
        if call.ending is Standstill.TOO_SLOW:
            self._usual = None  # one body at most is begun anew because all has become slower

    # -- the tick ----------------------------------------------------------------------------------
    @property
    def _tick_seconds(self) -> float:
        return min(TICK_SECONDS, *(call.silent_seconds / 4 for call in self._calls)) if self._calls else 0.0

    def _tick(self) -> None:
        self._timer, seconds = None, self._tick_seconds
        if not self._calls:
            self._gauge = ThroughputGauge()
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        seen = [call for call in self._calls if now - call.begun_at >= seconds]
        for call in seen:
            call.look(now)
        self._share.take(seen, now)
        for call in seen:
            self._judge(call, now)
        self._measure(seen, now)
        self._timer = loop.call_later(seconds, self._tick)

    def _judge(self, call: Call, now: float) -> None:
        state = call.state()
        others = self._others(call, now)
        why = ending(state, others, now)
        if why is not None:
            call.end(why)
        elif wants_proof(state, others, now) and self.ask is not None and self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(self.ask))

    async def _ask(self, ask: Callable[[], Awaitable[bool]]) -> None:
        """Ask S3 something beside a body that stands still: is it the connection, or the whole line."""
        loop = asyncio.get_running_loop()
        try:
            if await ask():
                await asyncio.sleep(ASK_PAUSE_SECONDS)
            else:
                self._mute_at = loop.time()
        finally:
            self._asking = None

    def _others(self, call: Call, now: float) -> LineState:
        bodies = [one for one in self._calls if one is not call and one.length_bytes and not one.is_out]
        fresh = self._usual is not None and now - self._usual[1] < USUAL_FRESH_SECONDS
        return LineState(
            moved_at=self._moved_at,
            moving_since=self._moving_since,
            mute_at=self._mute_at,
            bytes_per_second=max((one.bytes_per_second or 0.0 for one in bodies), default=None),
            fair_bytes_per_second=self._share.bytes_per_second,
            usual_bytes_per_second=self._usual[0] if fresh and self._usual is not None else None,
        )

    def _learn(self, length_bytes: int, seconds: float, now: float) -> None:
        bytes_per_second = length_bytes / max(seconds, 1e-3)
        before = self._usual[0] if self._usual is not None else bytes_per_second
        self._usual = before + USUAL_WEIGHT * (bytes_per_second - before), now

    def _measure(self, calls: Collection[Call], now: float) -> None:
        self._gauge.take(calls, now)
        flow = self._gauge.flow()
        if flow is None:
            return
        self._gauge = ThroughputGauge(at=now)
        if upload_window.is_used(self.window, flow):
            self._become(upload_window.measured(self.window, flow, now))

    def _become(self, window: upload_window.Window) -> None:
        before, self.window = self.window, window
        if before.limit != window.limit:
            self._gauge = ThroughputGauge()
            self._heavy.resize(self._units)
            self._light.resize(self._units)

    @property
    def _units(self) -> int:
        return max(1, int(self.window.limit * _UNIT))
