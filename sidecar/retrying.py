"""Tries through a remote's gate what moves no transfer: questions, a registration, a sweep.

A transfer's attempts are the journal's business: they end with a due time there. What is tried here waits in
memory, and is begun anew by a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sidecar.core.errors import SidecarError
from sidecar.core.retry import Decision
from sidecar.gate import RemoteGate

T = TypeVar("T")
Pause = Callable[[SidecarError, Decision], float]  # how long to wait after a failure; or it raises


def _none(_error: SidecarError) -> bool:
    """Tell that the gate is to hear of every failure."""
    return False


async def attempt(
    gate: RemoteGate,
    target: str,
    call: Callable[[], Awaitable[T]],
    *,
    pause: Pause,
    raises: Callable[[SidecarError], bool] = _none,
) -> T | None:
    """Wait for the gate and try once; None after a failure and its ``pause``. ``call`` never returns None.

    An error that ``raises`` names is no verdict on the remote: it is raised at once, and the gate does not
    hear of it.
    """
    await gate.admit(target)
    try:
        answer = await call()
    except asyncio.CancelledError:
        gate.withdraw(target)
        raise
    except SidecarError as error:
        if raises(error):
            gate.withdraw(target)
            raise
        await asyncio.sleep(pause(error, await gate.failed(target, error, failures=0)))
        return None
    gate.answered(target)
    return answer


async def retry(
    gate: RemoteGate,
    target: str,
    call: Callable[[], Awaitable[T]],
    *,
    pause: Pause,
    raises: Callable[[SidecarError], bool] = _none,
) -> T:
    """Try until it succeeds, as ``attempt`` does, or until ``pause`` or ``raises`` ends it."""
    while True:
        answer = await attempt(gate, target, call, pause=pause, raises=raises)
        if answer is not None:
            return answer
