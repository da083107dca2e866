"""Decides when a file is complete (CONTRACT.md, "The life of a file"), as a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sidecar.watch.formats.base import Completeness, Structure
from sidecar.watch.os.write_lease import WriterCheck

BUSY_AGAIN_SECONDS = 0.03  # a closed file is noticed this soon
BUSY_IDLE_SECONDS = 0.1  # the same for a writer that has not written for a while
IDLE_AFTER_SECONDS = 2.0
TORN_AGAIN_SECONDS = (0.05, 5.0)  # an incomplete file without a writer: events wake it sooner


class ProbeEvidence(NamedTuple):
    """What one look at a file showed. ``quiet_seconds``: since its stat identity last changed."""

    lease: WriterCheck
    structure: Structure
    quiet_seconds: float


class WaitPolicy(NamedTuple):
    """How long to wait for this file, in seconds: as its rule, its root or its volume says."""

    settle_seconds: float
    abandon_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The file is complete: read it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The file is not complete yet; ``why`` is a sentence for people.

    ``crowded``: where many wait so, each may be looked at less often; only its notice comes later.
    ``is_written``: a writer has it open. ``is_torn``: it is incomplete, and nobody has.
    """

    why: str
    again_seconds: float
    crowded: bool = False
    is_written: bool = False
    is_torn: bool = False


_COMPLETE = Complete()


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """The file was incomplete and without a writer for too long."""

    why: str


Decision = Complete | Wait | Abandon


def decide(evidence: ProbeEvidence, policy: WaitPolicy) -> Decision:
    """Weigh a writer first, then the structure, then quiet time."""
    if evidence.lease is WriterCheck.BUSY:
        return _written(evidence.quiet_seconds)
    if evidence.structure.completeness is Completeness.INCOMPLETE:
        return _torn(evidence, policy)
    if evidence.structure.completeness is Completeness.COMPLETE and evidence.lease is WriterCheck.FREE:
        return _COMPLETE
    return _settling(evidence.quiet_seconds, policy.settle_seconds)


def _written(quiet_seconds: float) -> Wait:
    again = BUSY_AGAIN_SECONDS if quiet_seconds < IDLE_AFTER_SECONDS else BUSY_IDLE_SECONDS
    why = "a process still has it open for writing"
    return Wait(why=why, again_seconds=again, crowded=True, is_written=True)


def _torn(evidence: ProbeEvidence, policy: WaitPolicy) -> Wait | Abandon:
    why, left = evidence.structure.why, policy.abandon_after_seconds - evidence.quiet_seconds
    if left <= 0:
        return Abandon(why=f"{why}; nothing wrote to it for {policy.abandon_after_seconds:g} s")
    least, most = TORN_AGAIN_SECONDS
    again = min(max(evidence.quiet_seconds / 2, least), most, left)
    return Wait(why=why, again_seconds=again, crowded=True, is_torn=True)


def _settling(quiet_seconds: float, settle_seconds: float) -> Complete | Wait:
    left = settle_seconds - quiet_seconds
    if left <= 0:
        return _COMPLETE
    return Wait(why=f"quiet for {quiet_seconds:.2f} of {settle_seconds:g} s", again_seconds=left)
