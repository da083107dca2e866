"""Decides how bytes are checked on their way: what ``s3.checksum: auto`` makes of a store's answers.

Real transfers find it out, so that no object and no right is needed beyond what uploads need
(``upload/checksum_negotiation.py``). Where S3 refuses a request as such, or where neither its answer nor a
HEAD confirms the checksum, the same transfer goes at once under the next of crc64nvme, crc32c, sha256 and
md5. That spends no attempt, and no breaker hears of it.

Only what is then taken under a worse algorithm counts against a better one, so that a refusal of something
else teaches nothing. One objection proves nothing either, since a proxy may strip an answer: two in a row
settle it, and transfers side by side count once. Other bytes than were sent are corruption, and never a
reason.

PUT and multipart are found out apart, but parts begin with nothing better than PUT has. While multipart is
not proven one part goes first, and its answer counts. The journal keeps the finding with the bucket's
address and our version: another address or version begins anew, and so does a refusal of what was found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from .errors import ErrorKind, Scope, SidecarError

NOT_CONFIRMED = "ChecksumNotConfirmed"
_TIMES = 2


class Algorithm(StrEnum):
    """The values of ``s3.checksum`` but auto, the best first: S3 compares more with it, or it costs less."""

    CRC64NVME = "crc64nvme"
    CRC32C = "crc32c"
    SHA256 = "sha256"
    MD5 = "md5"

    @property
    def rank(self) -> int:
        """How good it is; 0 is the best."""
        return _RANKS[self]


_RANKS = {algorithm: rank for rank, algorithm in enumerate(Algorithm)}


class UploadWay(StrEnum):
    """How an object is uploaded."""

    PUT = "put"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What is known of one way: ``algorithm`` is the best that may be confirmed.

    ``is_found``: it was. ``against``: objections in a row, to transfers that were taken under a worse one;
    ``instead`` is the best of those.
    """

    algorithm: Algorithm = Algorithm.CRC64NVME
    is_found: bool = False
    against: int = 0
    instead: Algorithm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSupport:
    """What is known of a store."""

    put: Confirmed = Confirmed()
    multipart: Confirmed = Confirmed()

    def of(self, way: UploadWay) -> Confirmed:
        """Return one way's."""
        return self.put if way is UploadWay.PUT else self.multipart

    def is_settled(self, way: UploadWay, taken: Algorithm) -> bool:
        """Tell whether a transfer that was taken under what all begin with tells nothing new."""
        known = self.of(way)
        return known.is_found and not known.against and taken is known.algorithm is self.first(way)

    def first(self, way: UploadWay) -> Algorithm:
        """Return what a transfer begins with: many parts are not trusted with more than one PUT is."""
        own = self.of(way).algorithm
        if way is UploadWay.PUT or not self.put.is_found:
            return own
        return max(own, self.put.algorithm, key=lambda algorithm: algorithm.rank)

    def after(
        self, way: UploadWay, *, begun: StoreSupport, taken: Algorithm, objections: int
    ) -> StoreSupport:
        """Return what is known after a transfer was taken.

        ``begun`` is what was known when it began; ``objections`` were made, the first to the best of it.
        """
        known, first = self.of(way), self.first(way)
        if taken.rank <= first.rank:
            found = Confirmed(algorithm=taken, is_found=True)
        elif objections and begun.of(way) == known:
            found = _against(known, taken, objections)
        else:  # resumed under what it was begun with; or side by side with another one, which was counted
            found = known
        return replace(self, put=found) if way is UploadWay.PUT else replace(self, multipart=found)


def _against(known: Confirmed, taken: Algorithm, objections: int) -> Confirmed:
    instead = min(known.instead or taken, taken, key=lambda algorithm: algorithm.rank)
    against = known.against + objections
    if against >= _TIMES:
        return Confirmed(algorithm=instead, is_found=True)
    return replace(known, against=against, instead=instead)


def objects(error: SidecarError) -> bool:
    """Tell whether a failure may be the algorithm's: unconfirmed, or a request refused as such.

    Whether a refusal was the algorithm's shows when the same is taken under another one. InvalidPart is what
    some MinIO says to a Complete whose checksum is the whole object's.
    """
    refused = error.kind is ErrorKind.INVALID and error.scope in {Scope.BUCKET, Scope.REMOTE}
    return refused or error.code in {NOT_CONFIRMED, "InvalidPart"}


def to_text(support: StoreSupport, *, store: str) -> str:
    """Return what is known of a store as one text."""
    return json.dumps({"store": store, **asdict(support)})


def from_text(text: str | None, *, store: str) -> StoreSupport:
    """Undo ``to_text``; nothing is known of another store."""
    said = json.loads(text) if text else {}
    if said.pop("store", None) != store:
        return StoreSupport()
    return StoreSupport(**{way: _confirmed(fields) for way, fields in said.items()})


def _confirmed(fields: Mapping[str, object]) -> Confirmed:
    named = {name: Algorithm(str(fields[name])) for name in ("algorithm", "instead") if fields[name]}
    return Confirmed(**{**fields, **named})  # type: ignore[arg-type]  # as asdict wrote them
