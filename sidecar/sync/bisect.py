"""Finds the op that Convex refuses: a refused batch is halved until what is refused stands alone.

The ops beside it get through on the way. When nothing at all gets through, a few refused ops are
enough to know that it is not the ops; the rest waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ops import Op

REFUSED_ALONE_MAX = 3  # without one success in between

Send = Callable[[Sequence[Op]], Awaitable[SidecarError | None]]
Blames = Callable[[SidecarError], bool]


@dataclass(slots=True, kw_only=True)
class Search:
    """What a search found. ``outage`` ended it early; ``left`` were then not tried to the end."""

    refused: list[tuple[Op, SidecarError]] = field(default_factory=list)
    left: list[Op] = field(default_factory=list)
    outage: SidecarError | None = None
    delivered: bool = False

    @property
    def over(self) -> bool:
        """Tell whether going on is pointless."""
        hopeless = not self.delivered and len(self.refused) >= REFUSED_ALONE_MAX
        return hopeless or self.outage is not None


def is_refusal(error: SidecarError) -> bool:
    """Tell whether an error may be the answer to one op of the batch: no outage, no lost credentials."""
    return error.redacted or error.kind is ErrorKind.INVALID


async def search(ops: Sequence[Op], send: Send, *, blames: Blames = is_refusal) -> Search:
    """Deliver what can be delivered of a batch that was just refused as a whole.

    ``send`` returns None once the ops are settled, otherwise the error; ``blames`` tells whether an
    error is the fault of one of the ops.
    """
    found = Search()
    waiting = list(_halves(ops))
    while waiting:
        some = waiting.pop()
        if found.over:
            found.left += some
            continue
        error = await send(some)
        if error is None:
            found.delivered = True
        elif not blames(error):
            found.outage = error
            found.left += some
        elif len(some) == 1:
            found.refused.append((some[0], error))
        else:
            waiting += _halves(some)
    return found


def _halves(ops: Sequence[Op]) -> tuple[Sequence[Op], Sequence[Op]]:
    """Return the later and the earlier half: the last in line is tried first."""
    middle = len(ops) // 2
    return ops[middle:], ops[:middle]
