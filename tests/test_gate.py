"""The door to one remote, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sidecar.core.breaker import BreakerPolicy, BreakerState
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.retry import SUCCESSES_PER_FAILURE, SUSPICIOUS_FAILURES, Again, GiveUp, RetryPolicy
from sidecar.core.success_tracker import MEMOS_MAX
from sidecar.gate import RemoteGate


class VirtualClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        """Start at an odd second."""
        self.now = 1000.0

    def wall_ms(self) -> int:
        """Milliseconds since 1970, on 2026-01-01 at 12:00."""
        return 1_767_268_800_000 + int((self.now - 1000) * 1000)

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move on, after everybody else had a turn."""
        await asyncio.sleep(0)
        self.now += seconds


def failure(
    kind: ErrorKind = ErrorKind.NETWORK,
    message: str = "connection refused",
    *,
    redacted: bool = False,
    silent: bool = False,
    scope: Scope | None = None,
) -> SidecarError:
    """Return an error as an adapter raises it."""
    return SidecarError(
        kind,
        message,
        operation="put",
        target="x",
        hint="is the endpoint up?",
        redacted=redacted,
        silent=silent,
        scope=scope,
    )


class Remote:
    """A remote that is up or down; counts its probes."""

    def __init__(self) -> None:
        """Be well."""
        self.error: SidecarError | None = None
        self.probes = 0
        self.before: Callable[[], Awaitable[None]] | None = None

    async def probe(self) -> None:
        """Answer or raise."""
        self.probes += 1
        if self.before:
            await self.before()
        if self.error:
            raise self.error


@pytest.fixture
def clock() -> VirtualClock:
    """Time that stands still."""
    return VirtualClock()


@pytest.fixture
def remote() -> Remote:
    """A remote that is well."""
    return Remote()


@pytest.fixture
def gate(clock: VirtualClock, remote: Remote) -> RemoteGate:
    """Its door, with the default policies."""
    return RemoteGate(
        remote="s3",
        probe=remote.probe,
        retry=RetryPolicy(),
        breaker=BreakerPolicy(),
        clock=clock,
        jitter=lambda: 0.5,
        sleep=clock.sleep,
    )


async def test_a_lone_file_survives_an_outage_of_hours(
    gate: RemoteGate, remote: Remote, clock: VirtualClock
) -> None:
    """No attempt is spent, the breaker opens, and the file goes when the remote is back."""
    remote.error = failure()
    began = clock.now

    async def mend() -> None:
        if clock.now > began + 3 * 3600:
            remote.error = None

    remote.before = mend
    await gate.admit("lone")
    while remote.error:
        decision = await gate.failed("lone", failure(), failures=0)
        assert isinstance(decision, Again)
        assert not decision.spent
        await clock.sleep(decision.delay_seconds)
        await gate.admit("lone")
    gate.succeeded("lone", "put")
    assert gate.state is BreakerState.CLOSED
    assert gate.reason is None
    assert clock.now < began + 3 * 3600 + 60


async def test_a_poison_file_dies_alone(gate: RemoteGate, remote: Remote) -> None:
    """While others get through, three failures of one object make a dead letter of it alone."""
    decisions = []
    for spent in range(3):
        await gate.admit("poison")
        gate.succeeded(f"good {spent}", "put")
        decisions.append(await gate.failed("poison", failure(), failures=spent))
    assert [isinstance(d, GiveUp) for d in decisions] == [False, False, True]
    assert gate.state is BreakerState.CLOSED
    assert remote.probes == 3


async def test_its_own_successes_do_not_make_an_object_guilty(gate: RemoteGate) -> None:
    """Parts of the same object that got through are no other transfer."""
    await gate.admit("big")
    gate.succeeded("big", "put")
    decision = await gate.failed("big", failure(), failures=0)
    assert isinstance(decision, Again)
    assert not decision.spent


async def test_a_success_from_before_does_not_count_against_an_object(gate: RemoteGate) -> None:
    """Only what succeeded since its attempt began tells that the remote was well."""
    gate.succeeded("earlier", "put")
    await gate.admit("lone")
    decision = await gate.failed("lone", failure(), failures=0)
    assert isinstance(decision, Again)
    assert not decision.spent


async def test_a_listing_is_no_witness_against_an_object(gate: RemoteGate) -> None:
    """A bucket that takes no more bytes still lists and deletes: the sweep costs nobody an attempt."""
    await gate.admit("file")
    for _ in range(3):
        gate.answered("sweep")
        decision = await gate.failed("file", failure(ErrorKind.FORBIDDEN), failures=0)
        assert isinstance(decision, Again)
        assert not decision.spent


async def test_only_the_same_operation_proves_the_remote_well(gate: RemoteGate) -> None:
    """Small files get through while no multipart upload may be opened: nobody's film dies of it."""
    for spent in range(3):
        await gate.admit("film")
        gate.succeeded("thumbnail", "another operation")
        decision = await gate.failed("film", failure(ErrorKind.INVALID), failures=spent)
        assert isinstance(decision, Again)
        assert not decision.spent


async def test_a_remote_that_drops_a_third_of_everything_kills_nobody(gate: RemoteGate) -> None:
    """Each file fails now and then three times in a row, and others get through in between."""
    await gate.admit("unlucky")
    for n in range(30):
        gate.succeeded(f"good {n}", "put")
        gate.succeeded(f"fine {n}", "put")
        await gate.failed(f"dropped {n}", failure(), failures=0)
        decision = await gate.failed("unlucky", failure(), failures=2)
        assert isinstance(decision, Again)
        assert not decision.spent


async def test_poison_files_die_although_they_fail_together(gate: RemoteGate) -> None:
    """Ten of them among good ones: each fails again and again, and most others do not."""
    spent = dict.fromkeys(range(10), 0)
    for n in range(30):
        for poison in spent:
            for good in range(10):
                gate.succeeded(f"good {n} {poison} {good}", "put")
            decision = await gate.failed(f"poison {poison}", failure(), failures=spent[poison])
            spent[poison] += isinstance(decision, GiveUp) or decision.spent
    assert min(spent.values()) >= 3


async def test_a_head_without_a_word_does_not_hide_what_the_remote_said(
    gate: RemoteGate, remote: Remote
) -> None:
    """The probe is a HEAD: it is refused, too, and cannot say why."""
    remote.error = failure(ErrorKind.INVALID, "S3 answered 400", silent=True)
    for n in range(6):
        said = failure(ErrorKind.UNAUTHORIZED, "ExpiredToken: it has expired")
        await gate.failed(f"file {n}", said, failures=0)
        await gate.failed(f"other {n}", remote.error, failures=0)
    assert gate.last_error is not None
    assert gate.last_error.message == "ExpiredToken: it has expired"
    assert "does not accept our credentials" in (gate.reason or "")
    assert "ExpiredToken" in (gate.reason or "")


async def test_a_wordless_refusal_of_another_trouble_is_shown(gate: RemoteGate, remote: Remote) -> None:
    """What the remote said before it was well again is over."""
    await gate.failed("file", failure(ErrorKind.QUOTA, "QuotaExceeded: full"), failures=0)
    gate.succeeded("file", "put")
    remote.error = failure(ErrorKind.FORBIDDEN, "S3 answered 403", silent=True)
    await gate.failed("file", remote.error, failures=0)
    assert gate.last_error is not None
    assert gate.last_error.message == "S3 answered 403"


async def test_our_own_disk_is_no_trouble_of_the_remote(gate: RemoteGate, remote: Remote) -> None:
    """It is neither named as the remote's, nor counted, nor probed for."""
    for n in range(9):
        decision = await gate.failed(
            f"file {n}", failure(ErrorKind.LOCAL_IO, "Permission denied"), failures=2
        )
        assert isinstance(decision, Again)
        assert not decision.spent
    assert gate.reason is None
    assert gate.last_error is None
    assert remote.probes == 0


async def test_an_operation_that_alone_is_refused_is_named_while_all_else_goes_well(gate: RemoteGate) -> None:
    """Thumbnails arrive, and no film may be opened: the breaker sees nothing, an operator does."""
    for n in range(5):
        await gate.failed("film", failure(ErrorKind.FORBIDDEN, "AccessDenied: no"), failures=0)
        gate.succeeded(f"thumbnail {n}", "another operation")
    assert gate.state is BreakerState.CLOSED
    assert "denies us a right since 12:00:00 UTC: put x: AccessDenied: no" in (gate.reason or "")
    gate.succeeded("another film", "put")
    assert gate.reason is None


async def test_what_is_settled_otherwise_is_not_named_any_more(gate: RemoteGate) -> None:
    """The film was deleted: nobody waits for its operation."""
    for n in range(5):
        await gate.failed("film", failure(ErrorKind.FORBIDDEN), failures=0)
        gate.succeeded(f"thumbnail {n}", "another operation")
    gate.withdraw("film")
    assert gate.reason is None


async def test_an_object_that_arrived_in_another_way_is_not_named(gate: RemoteGate) -> None:
    """Its uploads could not be listed; then it was sent whole."""
    for n in range(5):
        await gate.failed("film", failure(ErrorKind.FORBIDDEN), failures=0)
        gate.succeeded(f"thumbnail {n}", "another operation")
    gate.succeeded("film", "another operation")
    assert gate.reason is None


async def test_what_is_not_tried_any_more_is_not_named_for_ever(
    gate: RemoteGate, clock: VirtualClock
) -> None:
    """The film was rendered anew, and nobody says so here."""
    for n in range(5):
        await gate.failed("film", failure(ErrorKind.FORBIDDEN), failures=0)
        gate.succeeded(f"thumbnail {n}", "another operation")
    assert gate.reason is not None
    await clock.sleep(600)
    assert gate.reason is None


async def test_a_probe_that_could_not_be_sent_says_nothing(gate: RemoteGate, remote: Remote) -> None:
    """This machine has no descriptor left: neither the remote nor the object is to blame."""
    remote.error = failure(ErrorKind.LOCAL_IO, "Too many open files")
    for n in range(9):
        gate.succeeded(f"good {n}", "put")
        decision = await gate.failed("file", failure(), failures=2)
        assert isinstance(decision, Again)
        assert not decision.spent
    assert gate.state is BreakerState.CLOSED
    assert "Too many open files" not in f"{gate.reason} {gate.last_error}"


@pytest.mark.parametrize("kind", [ErrorKind.UNAUTHORIZED, ErrorKind.FORBIDDEN, ErrorKind.NOT_FOUND])
async def test_wrong_credentials_open_the_breaker_at_once(
    gate: RemoteGate, remote: Remote, kind: ErrorKind
) -> None:
    """One failure, one probe, degraded with the reason and the hint."""
    remote.error = failure(kind)
    decision = await gate.failed("a", failure(kind), failures=2)
    assert isinstance(decision, Again)
    assert not decision.spent
    assert gate.state is BreakerState.OPEN
    assert gate.reason is not None
    assert "since 12:00:00 UTC: put x: connection refused (is the endpoint up?)" in gate.reason


async def test_the_reason_is_given_from_the_first_failure_of_an_outage(
    gate: RemoteGate, remote: Remote
) -> None:
    """An operator need not wait for five failures to see what is wrong."""
    remote.error = failure()
    await gate.failed("a", failure(), failures=0)
    assert gate.state is BreakerState.CLOSED
    assert gate.reason == (
        "S3 is unreachable since 12:00:00 UTC: put x: connection refused (is the endpoint up?)"
    )
    assert gate.last_error is not None
    assert gate.last_error.kind is ErrorKind.NETWORK
    gate.succeeded("b", "put")
    assert gate.reason is None


async def test_failures_at_once_share_a_probe(gate: RemoteGate, remote: Remote) -> None:
    """Sixteen uploads that lose their connection together do not send sixteen probes."""

    async def yield_often() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    remote.before = yield_often
    await asyncio.gather(*(gate.failed(f"t{n}", failure(), failures=0) for n in range(16)))
    assert remote.probes <= 2


async def test_a_straggler_of_an_outage_spends_nothing(gate: RemoteGate, remote: Remote) -> None:
    """Others got through since its attempt began, but the breaker is open by now: it is the outage's."""
    await gate.admit("straggler")
    for _ in range(SUSPICIOUS_FAILURES):  # it has failed so often that it looks like poison
        await gate.failed("straggler", failure(ErrorKind.THROTTLED), failures=2)
    for _ in range(SUCCESSES_PER_FAILURE):
        gate.succeeded("good", "put")
    remote.error = failure(ErrorKind.FORBIDDEN)
    await gate.failed("lost", failure(ErrorKind.FORBIDDEN), failures=0)
    assert gate.state is BreakerState.OPEN
    decision = await gate.failed("straggler", failure(), failures=2)
    assert isinstance(decision, Again)
    assert not decision.spent


async def test_half_open_lets_one_transfer_go_and_then_all(
    gate: RemoteGate, remote: Remote, clock: VirtualClock
) -> None:
    """Waiters pass one at a time until one of them succeeds."""
    remote.error = failure(ErrorKind.FORBIDDEN)
    await gate.failed("a", failure(ErrorKind.FORBIDDEN), failures=0)
    remote.error = None
    probes, began = remote.probes, clock.now
    passed: list[int] = []
    trial_ended = asyncio.Event()

    async def work(number: int) -> None:
        await gate.admit()
        passed.append(number)
        if len(passed) == 1:
            await trial_ended.wait()
        gate.succeeded(str(number), "put")

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(work(number))
        while not passed:
            await asyncio.sleep(0)
        assert len(passed) == 1
        assert clock.now >= began + 30
        trial_ended.set()
    assert sorted(passed) == [0, 1, 2, 3, 4]
    assert gate.state is BreakerState.CLOSED
    assert remote.probes == probes + 1


async def test_recovery_is_noticed_although_no_work_arrives(gate: RemoteGate, remote: Remote) -> None:
    """The background task probes; the breaker closes by itself."""
    remote.error = failure(ErrorKind.FORBIDDEN)
    await gate.failed("a", failure(ErrorKind.FORBIDDEN), failures=0)
    remote.error = None
    runner = asyncio.create_task(gate.run())
    async with asyncio.timeout(5):
        while gate.state is not BreakerState.CLOSED:
            await asyncio.sleep(0)
    runner.cancel()
    assert gate.reason is None


async def test_a_drain_probes_every_second(gate: RemoteGate, remote: Remote, clock: VirtualClock) -> None:
    """The grace period is not spent waiting for the reset."""
    remote.error = failure(ErrorKind.FORBIDDEN)
    await gate.failed("a", failure(ErrorKind.FORBIDDEN), failures=0)
    began, probes = clock.now, remote.probes
    waiting = asyncio.create_task(gate.admit())
    gate.hurry(1)
    async with asyncio.timeout(5):
        while clock.now < began + 10:
            await asyncio.sleep(0)
    assert remote.probes - probes >= 9
    waiting.cancel()


async def test_a_withdrawn_trial_makes_room_for_the_next(gate: RemoteGate, remote: Remote) -> None:
    """A file that vanished before it was sent does not keep the others out."""
    remote.error = failure(ErrorKind.FORBIDDEN)
    await gate.failed("a", failure(ErrorKind.FORBIDDEN), failures=0)
    remote.error = None
    await gate.admit("vanished")
    gate.withdraw("vanished")
    async with asyncio.timeout(1):
        await gate.admit("next")
    gate.succeeded("next", "put")
    assert gate.state is BreakerState.CLOSED


async def test_redacted_errors_pause_the_queue_and_kill_nothing(gate: RemoteGate) -> None:
    """When all fail for a hidden reason the breaker opens; nobody spends an attempt."""
    for _ in range(5):
        decision = await gate.failed("op", failure(ErrorKind.UNKNOWN, redacted=True), failures=2)
        assert isinstance(decision, Again)
        assert not decision.spent
    assert gate.state is BreakerState.OPEN


async def test_memory_is_bounded(gate: RemoteGate) -> None:
    """A hundred thousand objects in trouble cost no more than the cap."""
    for number in range(MEMOS_MAX + 100):
        await gate.admit(str(number))
    assert len(gate._successes) == MEMOS_MAX


async def test_a_remote_that_only_ever_puts_us_off_is_named(gate: RemoteGate) -> None:
    """Throttling opens no breaker and spends no attempt, but nobody may wait for hours without a word."""
    for n in range(5):
        assert gate.reason is None
        decision = await gate.failed(f"file {n}", failure(ErrorKind.THROTTLED), failures=0)
        assert isinstance(decision, Again)
        assert not decision.spent
    assert gate.state is BreakerState.CLOSED
    assert "S3 puts us off since 12:00:00 UTC" in (gate.reason or "")
    gate.succeeded("file 3", "put")
    assert gate.reason is None
