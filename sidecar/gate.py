"""One remote's door: the breaker, its probe, and the decision what a failure means.

Stages call ``admit`` before a transfer touches the remote, then ``succeeded`` or ``failed`` (or ``withdraw``
if it never came to it). ``run`` keeps an open breaker probing when no work arrives. ``Retry-After`` is
heeded as far as ``retry.max``; longer silences are the breaker's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from sidecar.core import breaker as circuit
from sidecar.core.breaker import Breaker, BreakerPolicy, BreakerState
from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.retry import (
    Blame,
    Decision,
    ProbeAnswer,
    RetryPolicy,
    blame,
    is_well,
    needs_probe,
    not_before,
    verdict,
)
from sidecar.core.streaks import FailureStreaks
from sidecar.core.success_tracker import Counts, SuccessTracker

_TICK_SECONDS = 0.001  # a sleep that a clock can see
_STREAK_TIMES = 3.0  # the longest wait between two attempts, and room for a breaker's
DISPLAY = {"s3": "S3", "convex": "Convex"}
_TROUBLE = {
    ErrorKind.NETWORK: "is unreachable",
    ErrorKind.THROTTLED: "puts us off",
    ErrorKind.CONFLICT: "puts us off",
    ErrorKind.UNAUTHORIZED: "does not accept our credentials",
    ErrorKind.FORBIDDEN: "denies us a right",
    ErrorKind.QUOTA: "is full or unpaid",
    ErrorKind.NOT_FOUND: "does not know what we ask for",
    ErrorKind.INVALID: "refuses our requests",
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """The newest failure that said something, for ``/status``. ``at_ms`` is wall time.

    ``code`` is the remote's own; ``silent``: it gave no reason.
    """

    kind: ErrorKind
    message: str
    hint: str | None
    at_ms: int
    code: str | None = None
    silent: bool = False


class RemoteGate:
    """The door to one remote, ``"s3"`` or ``"convex"``. Not for threads."""

    def __init__(
        self,
        *,
        remote: str,
        probe: Callable[[], Awaitable[None]],
        retry: RetryPolicy,
        breaker: BreakerPolicy,
        clock: Clock,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``probe`` raises SidecarError and is bounded in time; ``jitter`` is uniform in [0, 1)."""
        self.remote = remote
        self._probe = probe
        self._retry = retry
        self._policy = breaker
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._breaker = circuit.WELL
        self._changed = asyncio.Event()
        self._probing = asyncio.Lock()
        self._probes_begun = 0
        self._probe_error: SidecarError | None = None
        self._successes = SuccessTracker()
        self._trouble: SidecarError | None = None
        self._since_ms = 0
        self._streaks = FailureStreaks()
        self.last_error: LastError | None = None
        self._was_well = True  # since the last error

    @property
    def state(self) -> BreakerState:
        """The breaker's state."""
        return self._breaker.state

    @property
    def reason(self) -> str | None:
        """One sentence for people while the remote is in trouble; None while all is well."""
        name = DISPLAY.get(self.remote, self.remote)
        if self._trouble is None:
            lasting = self._clock.monotonic() - _STREAK_TIMES * self._retry.max_seconds
            streak = self._streaks.longest(at_least=self._policy.failures, since_seconds=lasting)
            return f"{name} {_what(streak.error, streak.since_ms)}" if streak else None
        if self.state is BreakerState.HALF_OPEN:
            return f"{name} answers again after trouble {_since(self._since_ms)}; one transfer goes first"
        return f"{name} {_what(self._trouble, self._since_ms)}"

    @property
    def lets_all_pass(self) -> bool:
        """Whether ``admit`` lets everybody pass at once."""
        return self._breaker is circuit.WELL

    @property
    def answers(self) -> bool:
        """False if the newest word from the remote is a probe that failed."""
        return self._probe_error is None

    async def passable(self) -> None:
        """Wait until something may pass, without claiming to be it: for stages about to claim work."""
        while not circuit.passes(self._breaker):
            await self._tend()

    async def admit(self, target: str | None = None) -> None:
        """Wait until one more transfer may go.

        At once while closed; after a good probe one at a time while half-open. ``target`` names the
        object, so that successes of others during its attempt are known.
        """
        if self._breaker is not circuit.WELL:
            await self.passable()
            self._become(circuit.admitted(self._breaker, self._policy, self._clock.monotonic()))
        if target is not None:
            self._successes.began(target)

    def begin(self, target: str) -> None:
        """Note that an attempt at ``target`` begins: what others achieve from here on counts."""
        self._successes.began(target)

    def withdraw(self, target: str | None = None) -> None:
        """Say that an admitted transfer ended without asking the remote anything."""
        if target is not None:
            self._successes.forget(target)
            self._streaks.forget(target)
        self._become(circuit.excused(self._breaker))

    def stepped(self, target: str, operation: str) -> None:
        """Say that the remote did one of several things for ``target``, which moved no bytes yet.

        It proves the remote well for those that fail in this operation, and for nothing else.
        """
        self._successes.stepped(target, operation)
        self._streaks.succeeded(operation)

    def succeeded(self, target: str, operation: str) -> None:
        """Say that the remote took ``target``, a transfer (a whole object, a part of it, ops).

        ``operation`` is named as in the errors of those that fail.
        """
        self._successes.succeeded(target, operation)
        self._streaks.arrived(target, operation)
        self._is_well()

    def answered(self, target: str) -> None:
        """Say that the remote did what ``target`` asked, which moved no transfer.

        It is no witness against those that fail: a bucket that takes no more bytes still lists and deletes.
        """
        self._successes.forget(target)
        self._streaks.forget(target)
        self._is_well()

    def _is_well(self) -> None:
        self._probe_error = None
        self._was_well = True
        if self._breaker is not circuit.WELL:
            self._become(circuit.succeeded(self._breaker, self._clock.monotonic()))

    async def failed(self, target: str, error: SidecarError, *, failures: int) -> Decision:
        """Decide on a failure (CONTRACT.md, "Errors"); ``failures`` counts attempts spent before it.

        Probes the remote first where that matters, and tells the breaker.
        """
        memo = self._successes.memo(target)
        fault = await self._fault(error, memo)
        self._blamed(fault, error)
        if fault is not Blame.OBJECT and error.scope is not Scope.OURS:
            now = self._clock.monotonic()
            self._streaks.failed(error, target, now_ms=self._clock.wall_ms(), now_seconds=now)
        decision = verdict(
            fault, failures=failures, unspent=memo.unspent, jitter=self._jitter(), policy=self._retry
        )
        unspent = 0 if fault is Blame.OBJECT else memo.unspent + 1
        self._successes.failed(target, error.operation, unspent=unspent)
        return not_before(decision, error.pause_seconds, self._retry)

    async def _fault(self, error: SidecarError, memo: Counts) -> Blame:
        if error.scope is not Scope.OURS:  # our own disk says nothing about the remote
            self._note(error)
        probe = await self._judge(error)
        others = self._successes.others_since(memo, error.operation)
        well = is_well(others, failures_in_a_row=memo.in_a_row)
        return blame(
            error.kind,
            scope=error.scope,
            redacted=error.redacted,
            of_the_line=error.of_the_line,
            probe=probe,
            others_succeeded=well,
        )

    async def run(self) -> None:
        """Probe whenever a probe is due, for ever: recovery is noticed although no work arrives."""
        while True:
            await self._tend()

    def hurry(self, seconds: float) -> None:
        """Probe an open breaker every ``seconds`` from now on: a drain does not wait out the reset."""
        self._policy = replace(self._policy, reset_seconds=min(self._policy.reset_seconds, seconds))
        self._become(circuit.hurried(self._breaker, self._clock.monotonic(), seconds))

    # -- the probe --------------------------------------------------------------------------------
    async def _tend(self) -> None:
        """Wait for the breaker to change, or for its probe to be due; then one caller probes."""
        due = self._breaker.due
        now = self._clock.monotonic()
        if due is None or now < due:
            await self._changed_within(None if due is None else max(due - now, _TICK_SECONDS))
            return
        async with self._probing:
            if circuit.probe_is_due(self._breaker, self._clock.monotonic()):
                error = await self._ask()
                theirs = error if error and error.scope is not Scope.OURS else None
                self._trouble = _most_telling(theirs, self._trouble)
                now = self._clock.monotonic()
                self._become(circuit.probed(self._breaker, self._policy, now, good=error is None))

    async def _changed_within(self, seconds: float | None) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        timer = None if seconds is None else asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({changed, timer} if timer else {changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in filter(None, (changed, timer)):
                task.cancel()

    async def _judge(self, error: SidecarError) -> ProbeAnswer | None:
        """Return what a probe says now; many failures at once share one."""
        if not needs_probe(error.kind, scope=error.scope, redacted=error.redacted):
            return None
        if self.state is BreakerState.OPEN:  # a straggler: the outage is known
            return ProbeAnswer(failure=self._trouble.kind if self._trouble else error.kind)
        begun = self._probes_begun
        async with self._probing:
            refusal = await self._ask() if begun == self._probes_begun else self._probe_error
        return ProbeAnswer(failure=refusal.kind if refusal else None)

    async def _ask(self) -> SidecarError | None:
        """Send the probe; the caller holds the lock."""
        self._probes_begun += 1
        try:
            await self._probe()
        except SidecarError as error:
            if error.scope is not Scope.OURS:  # no descriptor for a probe says nothing of the remote
                self._note(error)
                self._probe_error = error
            return error
        self._probe_error = None
        return None

    # -- bookkeeping ------------------------------------------------------------------------------
    def _note(self, error: SidecarError) -> None:
        """Keep the newest failure; a wordless one, such as a HEAD's, replaces none of the same trouble."""
        said = self.last_error
        if error.silent and said is not None and not said.silent and not self._was_well:
            return
        self._was_well = False
        self.last_error = LastError(
            kind=error.kind,
            message=error.message,
            hint=error.hint,
            at_ms=self._clock.wall_ms(),
            code=error.code,
            silent=error.silent,
        )

    def _blamed(self, fault: Blame, error: SidecarError) -> None:
        now = self._clock.monotonic()
        if fault is Blame.REMOTE or fault is Blame.REMOTE_REFUSES:
            if self._trouble is None:
                self._since_ms = self._clock.wall_ms()
            self._trouble = _most_telling(self._probe_error, error, self._trouble)
            step = circuit.refused if fault is Blame.REMOTE_REFUSES else circuit.failed
            self._become(step(self._breaker, self._policy, now))
        else:
            self._become(circuit.excused(self._breaker))

    def _become(self, breaker: Breaker) -> None:
        before, self._breaker = self._breaker, breaker
        if breaker.failures == 0 or (before.state is not BreakerState.CLOSED and self._is_closed):
            self._trouble = None
        if before is breaker or before == breaker:
            return
        if before.state is BreakerState.CLOSED and not self._is_closed:
            log.warning("breaker_opened", remote=self.remote, reason=self.reason)
        elif before.state is not BreakerState.CLOSED and self._is_closed:
            log.info("breaker_closed", remote=self.remote)
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def _is_closed(self) -> bool:
        return self._breaker.state is BreakerState.CLOSED


def _most_telling(*errors: SidecarError | None) -> SidecarError | None:
    """Return the first that holds the remote's own words, else the first."""
    known = [error for error in errors if error is not None]
    return next((error for error in known if not error.silent), known[0] if known else None)


def _what(error: SidecarError, since_ms: int) -> str:
    """Return what a remote does to us since then, and the newest failure."""
    what = "is hard to reach" if error.of_the_line else _TROUBLE.get(error.kind, "fails")
    return f"{what} {_since(since_ms)}: {error}"


def _since(wall_ms: int) -> str:
    return f"since {datetime.fromtimestamp(wall_ms / 1000, UTC):%H:%M:%S} UTC"
