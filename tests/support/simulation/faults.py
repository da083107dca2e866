"""What may become of one call to a remote, as the adapters tell it (tests/fault holds them to that)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TypeVar

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part, StoredObject

T = TypeVar("T")
SLOW_SECONDS = 45.0
LATE_SECONDS = 5.0
STALL_SECONDS = 30.0
REFUSALS = tuple(f"refused-{kind}" for kind in ErrorKind)
LOSSES = ("lost-before", "hung-before")
ANSWERS = ("lost-after", "hung-after", "unknown-after", "corrupt-after", "throttled-after")
FAULTS = (
    *REFUSALS,  # a status or an <Error>: 503, 429, 403, 301, 400 ...; nothing done
    "redacted",  # Convex hides why; nothing done
    "lost-before",  # 500, a reset, an end of the connection: maybe done, and nothing done
    "hung-before",  # the same, after the limit on standing still
    "lost-after",  # 500, a reset, half a reply: maybe done, and all done
    "hung-after",
    "unknown-after",  # an answer that says nothing: a page of somebody else's
    "corrupt-after",  # an answer that does not fit what was asked
    "throttled-after",  # a proxy turned it down that had passed it on
    "late",  # the answer is given up; it is carried out some seconds later
    "twice",  # delivered twice
    "wrong-etag",
    "slow",  # it takes long, both ways
)
_BODIES = frozenset({"s3.put", "s3.part", "s3.parts"})
_MADE = frozenset({"s3.put", "s3.part", "s3.complete"})
_ONLY = {  # who alone can meet it; for others it repeats another one, or no adapter says it
    "refused-local_io": _BODIES,
    "refused-corrupt": _MADE,
    "corrupt-after": _MADE,
    "wrong-etag": _MADE,
}
_CHANGING = frozenset({*ANSWERS, "late", "twice"})
_OPERATIONS = {  # as the adapters name them in their errors
    "s3.put": "PutObject",
    "s3.create": "CreateMultipartUpload",
    "s3.part": "UploadPart",
    "s3.complete": "CompleteMultipartUpload",
    "s3.head": "HeadObject",
    "convex.apply": "call",
}
_READS = frozenset({"s3.probe", "s3.head", "s3.parts", "s3.uploads", "s3.objects"}) | {
    *("convex.probe", "convex.current", "convex.versions")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of the n-th call (from 1, over all lives) to a remote."""

    call: int
    how: str

    def __str__(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.call}:{self.how}"


def fitting(call: str) -> list[str]:
    """Return the faults that a call of this name can meet."""
    return [
        how
        for how in FAULTS
        if call in _ONLY.get(how, {call})
        and not (how in _CHANGING and call in _READS)
        and (how != "redacted" or call.startswith("convex."))
    ]


def failure(
    kind: ErrorKind | str, name: str, *, maybe_done: bool = False, redacted: bool = False
) -> SidecarError:
    """Return an error as an adapter raises it."""
    return SidecarError(
        ErrorKind(kind),
        f"simulated {kind}",
        operation=_OPERATIONS.get(name, name),
        target="simulation",
        maybe_done=maybe_done,
        redacted=redacted,
    )


async def refuse(how: str | None, name: str) -> None:
    """Raise what comes in the place of a call that is not carried out."""
    if how in REFUSALS:
        raise failure(str(how).removeprefix("refused-"), name)
    if how == "redacted":
        raise failure(ErrorKind.UNKNOWN, name, redacted=True)
    if how in LOSSES:
        await asyncio.sleep(STALL_SECONDS if how == "hung-before" else 0.0)
        raise failure(ErrorKind.NETWORK, name, maybe_done=True)


async def spoil(how: str | None, name: str, result: T) -> T:
    """Return an answer as it comes, or raise what comes in its place."""
    match how:
        case "lost-after" | "hung-after":
            await asyncio.sleep(STALL_SECONDS if how == "hung-after" else 0.0)
            raise failure(ErrorKind.NETWORK, name, maybe_done=True)
        case "unknown-after":
            raise failure(ErrorKind.UNKNOWN, name, maybe_done=True)
        case "corrupt-after":
            raise failure(ErrorKind.CORRUPT, name)
        case "throttled-after":
            raise failure(ErrorKind.THROTTLED, name)
        case "wrong-etag" if isinstance(result, (Part, StoredObject)):
            return replace(result, etag='"wrong"')
        case _:
            return result
