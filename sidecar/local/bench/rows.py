"""The rows: what is prepared, measured and promised. ``--scale`` makes each smaller."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .budgets import Budget

KIB, MIB, GIB = 1024, 1024**2, 1024**3
EVERY = "all"
FILES_MIN = 20
BYTES_MIN = 16 * MIB  # of one large file: still several parts
BYTES_PER_CORE = 2 * GIB  # of what a whole region's machines are meant for
AWS_LARGE_BYTES = 5 * GIB
_SMALL = ("wall <= 1.5, aim 1.0 x s5cmd", "cpu <= 1.5, aim 1.0 x s5cmd", "calls <= 20, aim 12 for each 1,000")
_TIMES = ("wall <= 1.0 x s5cmd", "wall <= 1.1, aim 1.0 x floor")
_CHUNKS = (*_TIMES, "cpu <= 0.8 x s5cmd")
_LARGE = (*_TIMES, "cpu <= 0.6, aim 0.4 x s5cmd")
_IDLE = ("idle <= 1, aim 0.5 %", "rss <= 120, aim 90 MiB")


class Kind(StrEnum):
    """How a row is measured; ``measures.py`` says what each means."""

    BATCH = "batch"  # files wait; every tool ships them
    VISIBLE = "visible"  # one file is being written; every tool may have it at its close
    TRICKLE = "trickle"  # files come one after another
    IDLE = "idle"  # everything is delivered
    MEMORY = "memory"  # very much is waiting, and large files are in flight
    START = "start"  # everything is delivered, and the sidecar starts
    GROWTH = "growth"  # a batch beside very much that is delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. ``files`` of ``file_bytes`` each; ``finished`` lie there, delivered before."""

    name: str
    kind: Kind
    files: int
    file_bytes: int
    what: str = ""  # the title's end
    finished: int = 0
    seconds: float = 0.0  # of a row that is measured for a time
    rtt_ms: int = 0
    budgets: tuple[str, ...] = ()
    shrinks: bool = False  # scaled by the size of its files, not by their number
    once: bool = False  # encryption changes nothing
    is_long: bool = False  # only where it is named

    @property
    def title(self) -> str:
        """What a person reads."""
        size = "" if not self.files else f"{self.files:,} x {_size(self.file_bytes)}"
        far = f", {self.rtt_ms} ms away" if self.rtt_ms else ""
        if self.kind is Kind.GROWTH:
            return f"{size} {self.what}, 1,000 times as many at the end: {self.finished:,}"
        lying = f"{self.finished:,} files delivered" if self.finished else ""
        return " ".join(part for part in (lying, size, self.what) if part) + far

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return self.files * self.file_bytes

    def promises(self) -> list[Budget]:
        """Return the budgets."""
        return [Budget.parse(line) for line in self.budgets]

    def scaled(self, scale: float) -> Row:
        """Return a smaller row (or a larger one)."""
        if self.shrinks:
            size = max(round(self.file_bytes * scale / MIB) * MIB, min(self.file_bytes, BYTES_MIN))
            files, file_bytes = self.files, size
        else:
            files, file_bytes = max(round(self.files * scale), min(self.files, FILES_MIN)), self.file_bytes
        return replace(
            self,
            files=files,
            file_bytes=file_bytes,
            finished=max(round(self.finished * scale), min(self.finished, FILES_MIN)),
            seconds=max(self.seconds * scale, min(self.seconds, 4.0)),
        )


def _size(count: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


def _fitting() -> int:
    """Return the size of 20 files whose whole this machine moves in minutes; theirs are of 5 GiB."""
    return min(AWS_LARGE_BYTES, BYTES_PER_CORE * (os.cpu_count() or 1) // 20 // MIB * MIB)


SMALL = Row(name="small", kind=Kind.BATCH, files=10_000, file_bytes=32 * KIB, what="waiting", budgets=_SMALL)
CHUNKS = Row(name="chunks", kind=Kind.BATCH, files=150, file_bytes=4 * MIB, what="waiting", budgets=_CHUNKS)
LARGE = Row(
    name="large", kind=Kind.BATCH, files=1, file_bytes=GIB, what="waiting", budgets=_LARGE, shrinks=True
)
ROWS: tuple[Row, ...] = (
    SMALL,
    CHUNKS,
    LARGE,
    Row(
        name="visible", kind=Kind.VISIBLE, files=1, file_bytes=GIB, shrinks=True,
        what="written at 100 MB/s: close to visible", budgets=("visible <= 0.1, aim 0.05 x s5cmd",),
    ),
    Row(
        name="trickle", kind=Kind.TRICKLE, files=1500, file_bytes=50 * KIB, what="at 50 a second",
        budgets=("p50 <= 100, aim 50 ms", "p99 <= 300, aim 200 ms"),
    ),
    Row(
        name="idle", kind=Kind.IDLE, files=0, file_bytes=0, finished=10_000, seconds=90, once=True,
        what="and nothing to do", budgets=_IDLE,
    ),
    Row(
        name="idle-100k", kind=Kind.IDLE, files=0, file_bytes=0, finished=100_000, seconds=90, once=True,
        what="and nothing to do", budgets=_IDLE,
    ),
    Row(
        name="memory", kind=Kind.MEMORY, files=100_000, file_bytes=4 * KIB, once=True,
        what="waiting, four large ones in flight", budgets=("rss <= 240, aim 160 MiB",),
    ),
    Row(
        name="crt-small", kind=Kind.BATCH, files=10_000, file_bytes=256 * KIB,
        what="waiting (aws-crt-s3-benchmarks)",
    ),
    Row(
        name="crt-large", kind=Kind.BATCH, files=20, file_bytes=_fitting(), shrinks=True,
        what="waiting (aws-crt-s3-benchmarks)",
    ),
    *(
        replace(row, name=f"{row.name}-{rtt}ms", rtt_ms=rtt, files=min(row.files, 2000), budgets=())
        for row in (SMALL, CHUNKS, LARGE)
        for rtt in (25, 100)
    ),
    Row(
        name="start", kind=Kind.START, files=0, file_bytes=0, finished=1_000_000, once=True, is_long=True,
        what="and a start", budgets=("start <= 15, aim 8 s",),
    ),
    Row(
        name="growth", kind=Kind.GROWTH, files=1000, file_bytes=32 * KIB, finished=1_000_000, once=True,
        is_long=True, what="beside more and more delivered files", budgets=("growth <= 1.1, aim 1.0 times",),
    ),
)  # fmt: skip


def chosen(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Return the rows with these names; without a name, and for ``all``, all but the long ones or all.

    Raises ValueError.
    """
    known = {row.name for row in rows}
    if unknown := [name for name in names if name not in {*known, EVERY}]:
        raise ValueError(f"there is no row {unknown[0]!r}: {', '.join(row.name for row in rows)}, {EVERY}")
    if not names:
        return [row for row in rows if not row.is_long]
    return [row for row in rows if EVERY in names or row.name in names]
