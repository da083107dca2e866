"""Puts the journal behind one writer thread with group commit: the daemon's view of it.

Calls of one turn of the event loop are handed over at once, and those that arrive while a commit is under way
share the next one: 50 callers cost little more than one (137,000 durable operations a second were measured
this way). A call returns when its transaction is on disk.
The journal itself stays synchronous, so that a simulation calls it inline on a virtual clock.

A disk that is full or failing is waited out. The group is rolled back and tried again until it succeeds,
because nothing may go on as if it had been remembered. A group that does not fit is made call by call. For a
call that does not fit SQLite's log is emptied into the file, then the reserve is given up, and then it
waits.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

import structlog

from sidecar.core.errors import JournalLostError
from sidecar.journal.db.connection import Topic, Transition
from sidecar.journal.db.integrity import is_damage
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.db.store import ALL_OF, S, Store, is_transaction
from sidecar.journal.db.transition_log import log_transitions

from .journal import Journal
from .pace import Pace

P = ParamSpec("P")
T = TypeVar("T")
GROUP_MAX = 256
RETRY_SECONDS = 1.0
# What the machine does to a journal and takes back: a full or failing disk, no descriptor, a lock.
PASSING = frozenset(
    {
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
    }
)
NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})  # a quota that is reached reads as IOERR
log = structlog.get_logger()


class AsyncJournal(Protocol):
    """What stages use: ``await journal.do(UploadClaims.claim_uploads, limit=4, now=...)``."""

    def do(
        self, method: Callable[Concatenate[S, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run one method of a store as one durable transaction; returns after its commit."""
        ...

    def run(
        self, work: Callable[Concatenate[Journal, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a function over the whole journal as one durable transaction; returns after its commit."""
        ...

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event of the caller's own, set after every commit that may have made work for it."""
        ...


class _Call:
    """One call on its way through the writer thread: of a store's ``method``, or of something else."""

    __slots__ = ("args", "error", "future", "kwargs", "method", "on", "only_reads", "result")

    def __init__(
        self,
        method: Callable[..., Any],
        on: tuple[Store | Journal, bool],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        future: asyncio.Future[Any],
    ) -> None:
        self.method, self.args, self.kwargs, self.future = method, args, kwargs, future
        self.on, self.only_reads = on
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> Any:
        return self.method(self.on, *self.args, **self.kwargs)

    def resolve(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class JournalWriter:
    """Owns the journal and the thread that alone touches it. An async context manager."""

    def __init__(
        self,
        journal: Journal,
        *,
        observe: Callable[[Sequence[Transition]], None] = lambda _: None,
        reserve: Reserve | None = None,
        syncing: bool = True,
    ) -> None:
        """``observe`` hears of committed transitions; ``trouble`` is why commits fail now, or None.

        ``reserve`` is given up when the disk is full. ``syncing``: False where the upload is the end.
        """
        self._syncing = syncing
        self.journal, self._observe, self._reserve = journal, observe, reserve
        self.trouble: str | None = None
        self._is_wal_checkpointed = False  # since the disk was found full, or the last second of waiting
        self._turn: list[_Call] = []  # made in this turn of the loop
        self._methods: dict[Callable[..., Any], tuple[Store, bool]] = {}  # whose, and whether it only reads
        self._calls: queue.SimpleQueue[list[_Call] | None] = queue.SimpleQueue()
        self._subscribers: dict[Topic, list[asyncio.Event]] = {topic: [] for topic in Topic}
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()

    async def __aenter__(self) -> Self:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit what is queued, end the thread, close the journal."""
        self._hand_over()
        self._calls.put(None)
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        self.journal.close()

    def do(
        self, method: Callable[Concatenate[S, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run one method of a store, as its class has it, as one durable transaction.

        It returns after the commit. A cancelled caller's transaction is made all the same: it may already be
        on disk.
        """
        on = self._methods.get(method)
        if on is None:
            on = self._methods[method] = self.journal.store_of(method), not is_transaction(method)
        return self._queued(method, on, args, kwargs)

    def run(
        self, work: Callable[Concatenate[Journal, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a function over the whole journal as ``do`` runs a method."""
        return self._queued(work, (self.journal, False), args, kwargs)

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event of the caller's own, set after every commit that may have made work for it."""
        event = asyncio.Event()
        event.set()  # what was there before the subscription is work, too
        self._subscribers[topic].append(event)
        return event

    def _queued(
        self,
        method: Callable[..., Any],
        on: tuple[Store | Journal, bool],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        assert self._loop is not None  # noqa: S101 - whoever calls entered before
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(_Call(method, on, args, kwargs, future))
        return future

    def _hand_over(self) -> None:
        """Wake the thread, once for all calls of a turn."""
        if self._turn:
            self._calls.put(self._turn)
            self._turn = []

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        pace = Pace()
        while (group := self._calls.get()) is not None:
            if (seconds := pace.wait_seconds(len(group), now=time.monotonic())) > 0:
                time.sleep(seconds)
            while len(group) < GROUP_MAX:
                try:
                    following = self._calls.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._calls.put(None)
                    break
                group += following
            for first in range(0, len(group), GROUP_MAX):
                self._commit(group[first : first + GROUP_MAX])
            pace.committed(len(group), now=time.monotonic())

    def _commit(self, group: list[_Call]) -> None:
        while True:
            try:
                self._attempt(group)
            except (sqlite3.OperationalError, sqlite3.InternalError) as error:
                if len(group) > 1 and _code(error) in NO_ROOM:  # one by one they may fit
                    for call in group:
                        self._commit([call])
                    return
                if not self._wait_out(error):
                    self._fail(group, error)
                    break
            except sqlite3.DatabaseError as error:  # not even the group's transaction can be made
                self._fail(group, error)
                break
            else:
                if self.trouble is not None:
                    log.warning("journal_recovered", trouble=self.trouble)
                    self.trouble, self._is_wal_checkpointed = None, False
                break
        topics, transitions = self.journal.db.topics, self.journal.db.transitions
        self.journal.db.topics, self.journal.db.transitions = set(), []
        assert self._loop is not None  # noqa: S101 - the thread starts after it is set
        self._loop.call_soon_threadsafe(self._publish, group, topics, transitions)

    def _attempt(self, group: list[_Call]) -> None:
        """Run a group as one transaction. If a call fails by its own fault, each gets a savepoint then.

        What only reads needs none: nobody else writes.
        """
        self._forget_news()
        only_reads = all(call.only_reads for call in group)
        try:
            with nullcontext() if only_reads else self.journal.db.atomic():
                for calls in _together(group):
                    _run(calls)
        except (sqlite3.OperationalError, sqlite3.InternalError):
            raise  # the disk's failure: the whole group is tried again
        except BaseException as error:  # noqa: BLE001 - handed to the caller, in its own task
            if len(group) > 1:
                self._attempt_apart(group)
            else:
                self._fail(group, error)

    def _attempt_apart(self, group: list[_Call]) -> None:
        """Run a group as one transaction in which a call's own failure is its own."""
        with self.journal.db.apart(), self.journal.db.atomic():
            for call in group:
                call.error = None
                try:
                    with self.journal.db.atomic():
                        call.result = call.run()
                except (sqlite3.OperationalError, sqlite3.InternalError):
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the caller, in its own task
                    call.error = self._as_callers_see(error)

    def _forget_news(self) -> None:
        self.journal.db.topics, self.journal.db.transitions = set(), []

    def _fail(self, group: list[_Call], error: BaseException) -> None:
        self._forget_news()
        for call in group:
            call.error = self._as_callers_see(error)

    def _as_callers_see(self, error: BaseException) -> BaseException:
        """Return an error as callers are to hear it: damage ends this journal, not only their call."""
        return (
            JournalLostError(f"the journal {self.journal.db.path} is damaged ({error})")
            if is_damage(error)
            else error
        )

    def _wait_out(self, error: sqlite3.Error) -> bool:
        """Keep a group while the disk fails; False when the process ends first or the fault is ours."""
        code = _code(error)
        if code not in PASSING:
            return False
        if self.trouble is None:
            log.error("journal_cannot_write", error=str(error))
        self.trouble = f"the journal cannot be written: {error}"
        if code in NO_ROOM and self._make_room():
            return True
        if self._closing.is_set():
            return False
        time.sleep(RETRY_SECONDS)
        self._is_wal_checkpointed = False
        return True

    def _make_room(self) -> bool:
        """Do what may help at once, each before the next: empty the log, give up the reserve, both."""
        if not self._is_wal_checkpointed:
            self._is_wal_checkpointed = True
            if self.journal.db.checkpoint_wal():
                return True
        if self._reserve is None or not self._reserve.give_up():
            return False
        log.warning("journal_reserve_given_up")
        self._is_wal_checkpointed = False
        return True

    # -- the loop ----------------------------------------------------------------------------------

    def _publish(self, group: list[_Call], topics: set[Topic], transitions: list[Transition]) -> None:
        for call in group:
            call.resolve()
        for topic in topics:
            for event in self._subscribers[topic]:
                event.set()
        if transitions:
            self._observe(transitions)
            log_transitions(transitions, syncing=self._syncing)


def _together(group: Sequence[_Call]) -> Sequence[Sequence[_Call]]:
    """Return calls in their order, those that are made as one where the first of them stands."""
    if len(group) == 1:
        return [group]
    of_a_kind: dict[Any, list[_Call]] = {}
    for call in group:
        key = call if call.kwargs or call.method not in ALL_OF else call.method
        of_a_kind.setdefault(key, []).append(call)
    return list(of_a_kind.values())


def _run(calls: Sequence[_Call]) -> None:
    one = calls[0]
    many = ALL_OF.get(one.method) if len(calls) > 1 else None
    results = [one.run()] if many is None else many(one.on, [call.args for call in calls])
    for call, result in zip(calls, results, strict=True):
        call.error, call.result = None, result


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; Python raises some errors without one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
