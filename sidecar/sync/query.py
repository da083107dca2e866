"""Asks Convex a question that moves no asset: through outages; a refusal is no verdict on Convex."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.retry import Again
from sidecar.gate import RemoteGate

T = TypeVar("T")
_PASSING = {ErrorKind.NETWORK, ErrorKind.THROTTLED, ErrorKind.CONFLICT}


async def ask(gate: RemoteGate, target: str, question: Callable[[], Awaitable[T]]) -> T:
    """Return the answer, after whatever passes by itself. Raises SidecarError for all else.

    What is told meanwhile finds out by itself whether Convex is well: older functions may not know a
    question and take every op.
    """
    while True:
        await gate.admit(target)
        try:
            answer = await question()
        except asyncio.CancelledError:
            gate.withdraw(target)
            raise
        except SidecarError as error:
            if error.kind not in _PASSING:
                gate.withdraw(target)
                raise
            decision = await gate.failed(target, error, failures=0)
            await asyncio.sleep(decision.delay_seconds if isinstance(decision, Again) else 0.0)
        else:
            gate.answered(target)
            return answer
