"""Asks Convex a question that moves no asset: through outages; a refusal is no verdict on Convex."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.retry import Again, Decision
from sidecar.gate import RemoteGate
from sidecar.retrying import retry

T = TypeVar("T")
_PASSING = {ErrorKind.NETWORK, ErrorKind.THROTTLED, ErrorKind.CONFLICT}


async def ask(gate: RemoteGate, target: str, question: Callable[[], Awaitable[T]]) -> T:
    """Return the answer, after whatever passes by itself. Raises SidecarError for all else.

    What is told meanwhile finds out by itself whether Convex is well: older functions may not know a
    question and take every op.
    """
    return await retry(gate, target, question, pause=_delay_seconds, raises=_lasts)


def _delay_seconds(_error: SidecarError, decision: Decision) -> float:
    return decision.delay_seconds if isinstance(decision, Again) else 0.0


def _lasts(error: SidecarError) -> bool:
    return error.kind not in _PASSING
