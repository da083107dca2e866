"""Sends transfers under a checksum: the one that ``s3.checksum`` sets, or the one that the store confirms.

``core/checksum_algorithms.py`` decides; this carries it out. The journal knows under which algorithm an
upload was begun: it goes on under that one, or is begun anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import structlog

from sidecar import __version__
from sidecar.core.checksum_algorithms import (
    NOT_CONFIRMED,
    Algorithm,
    StoreSupport,
    UploadWay,
    from_text,
    objects,
    to_text,
)
from sidecar.core.errors import SidecarError
from sidecar.core.s3_failures import NOT_THE_CHECKSUM
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.writer import AsyncJournal
from sidecar.upload.s3.endpoint import S3Config

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """How to send this time.

    ``doubted``: nobody knows yet whether the store confirms this, so that its first word counts.
    ``is_there``: an object that was not confirmed may be there already.
    """

    algorithm: Algorithm
    doubted: bool = False
    is_there: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is tried of one way, in this order. ``is_settled``: that the first is taken tells nothing new."""

    tries: tuple[Try, ...]
    is_settled: bool


class ChecksumNegotiation:
    """Knows what is set or, under auto, what the store confirms. ``keep`` journals what was learnt."""

    def __init__(
        self,
        *,
        strictly: Algorithm | None = Algorithm.CRC64NVME,
        known: StoreSupport | None = None,
        keep: Callable[[StoreSupport], Awaitable[None]] | None = None,
    ) -> None:
        """``strictly`` None is auto."""
        self._strictly, self._keep = strictly, keep
        self._know(known or StoreSupport())

    @property
    def setting(self) -> str:
        """What ``s3.checksum`` says."""
        return self._strictly or "auto"

    @property
    def is_found(self) -> bool:
        """Whether the store confirmed what auto sends under; False where the setting names it."""
        return self._strictly is None and (self._known.put.is_found or self._known.multipart.is_found)

    @property
    def put(self) -> Algorithm:
        """What the next PUT begins with."""
        return self._first(UploadWay.PUT)

    @property
    def multipart(self) -> Algorithm:
        """What the next multipart upload begins with."""
        return self._first(UploadWay.MULTIPART)

    async def send(
        self, way: UploadWay, deliver: Callable[[Try], Awaitable[T | None]], *, begun: Algorithm | None = None
    ) -> T | None:
        """Deliver; under auto again under the next algorithm where the store objects to one.

        Such an objection spends nothing and no remote is blamed. ``begun`` is what an open upload was begun
        with. None: there was nothing to deliver. Raises SidecarError.
        """
        before, is_there = self._known, False
        is_usual = way is UploadWay.PUT and begun is None
        plan = self._usual if is_usual else self._plan(way, begun)
        for number, this in enumerate(plan.tries):
            try:
                done = await deliver(replace(this, is_there=True) if is_there else this)
            except SidecarError as error:
                if self._strictly or not objects(error):
                    raise
                if this is plan.tries[-1]:
                    error.hint = NOT_THE_CHECKSUM
                    raise
                is_there = is_there or error.code == NOT_CONFIRMED
                name = str(this.algorithm)
                log.debug("checksum_not_taken", algorithm=name, upload=str(way), error=str(error))
                continue
            if done is not None and not (plan.is_settled and number == 0 and self._known is before):
                objected = [one.algorithm for one in plan.tries[:number]]
                objections = number if before.first(way) in objected else 0
                await self._learn(way, before, this.algorithm, objections)
            return done
        return None  # there is always one to try

    def _know(self, known: StoreSupport) -> None:
        self._known = known
        self._usual = self._plan(UploadWay.PUT, None)

    def _plan(self, way: UploadWay, begun: Algorithm | None) -> _Plan:
        algorithms = self._tries(self._first(way), begun)
        tries = tuple(Try(algorithm=one, doubted=self._is_doubted(way, one)) for one in algorithms)
        is_settled = self._strictly is not None or self._known.is_settled(way, algorithms[0])
        return _Plan(tries, is_settled)

    def _first(self, way: UploadWay) -> Algorithm:
        return self._strictly or self._known.first(way)

    def _tries(self, first: Algorithm, begun: Algorithm | None) -> tuple[Algorithm, ...]:
        return (self._strictly,) if self._strictly else _order(first, begun)

    def _is_doubted(self, way: UploadWay, algorithm: Algorithm) -> bool:
        known = self._known.of(way)
        proven = known.is_found and known.algorithm is algorithm
        return self._strictly is None and algorithm is not Algorithm.MD5 and not proven

    async def _learn(self, way: UploadWay, before: StoreSupport, taken: Algorithm, objections: int) -> None:
        if self._strictly is not None or self._known.is_settled(way, taken):
            return
        known = self._known.after(way, begun=before, taken=taken, objections=objections)
        if known == self._known:
            return
        was, found = self._known.of(way), known.of(way)
        self._know(known)
        if found.is_found and (found.algorithm, found.is_found) != (was.algorithm, was.is_found):
            log.info("checksum_found", algorithm=str(found.algorithm), upload=str(way))
        if self._keep is not None:
            await self._keep(known)


@cache
def _order(first: Algorithm, begun: Algorithm | None) -> tuple[Algorithm, ...]:
    ahead = [algorithm for algorithm in Algorithm if algorithm.rank >= first.rank]
    better = [algorithm for algorithm in Algorithm if algorithm.rank < first.rank]  # the store may be another
    return tuple(dict.fromkeys([begun or first, *ahead, *better]))


async def open_negotiation(config: S3Config, journal: AsyncJournal) -> ChecksumNegotiation:
    """Return what is set, or what the journal knows of this store; a new version finds it out anew."""
    store = f"{config.bucket_url} {__version__}"

    async def keep(support: StoreSupport) -> None:
        await journal.do(Uploads.keep_checksums, to_text(support, store=store))

    known = from_text(await journal.do(Uploads.checksums), store=store)
    return ChecksumNegotiation(strictly=config.checksum, known=known, keep=keep)
