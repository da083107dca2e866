"""Says what a lease file holds, and what follows from it: who watches a folder that several machines see.

The lease file is one register that everybody reads and writes whole. Its holder counts up, a beat after the
other. Three rules keep two from holding it at once, however long anybody is stopped in between:

1. A holder may act for ``term`` seconds from the beginning of a read that showed its own record.
2. Whoever puts its record there waits ``claim`` seconds, more than a lease, and acts only if a read that
   begins then shows that record: by then its predecessor has read it, or has lost its lease.
3. A beat is written into the very file that was read, a takeover is another file under the name: a beat
   that comes late, from a process that was stopped, changes nothing.

No clock is ever compared with another machine's. A predecessor is taken for dead when its record stood
still in so many looks, which endangers nothing where it is wrong: it loses the folder, and notices.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

RECORD_BYTES_MAX = 4096
_BEAT_DIGITS = 12
_NAME_CHARS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """The times of a lease in seconds; ``still`` counts looks that are a beat apart."""

    beat: float = 1.0
    term: float = 3.0
    claim: float = 4.0
    still: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDomain:
    """Where a process sees the folder: equal for two processes only if one flock would keep them apart."""

    boot: str  # names one running kernel
    device: int  # one mounted volume of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a lease file holds. ``holder`` is drawn anew by every claim; the names are for people."""

    holder: str
    beat: int
    sidecar: str
    host: str
    pid: int
    boot: str
    device: int
    flocked: bool

    def next(self) -> LeaseRecord:
        """Return the record of the next beat; as bytes it is as long."""
        return replace(self, beat=self.beat + 1)

    def bytes(self) -> bytes:
        """Return the file's content."""
        fields = asdict(self) | {"beat": f"{self.beat:0{_BEAT_DIGITS}}"}
        return json.dumps(fields).encode() + b"\n"

    def display(self) -> str:
        """Return who it is, for people."""
        return f"{_name(self.sidecar)} on {_name(self.host)}, process {self.pid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnchangedCount:
    """Counts how often in a row a lease file had the same content."""

    content: bytes
    looks: int = 1

    def seen(self, content: bytes) -> UnchangedCount:
        """Return the vigil after one look more."""
        return (
            replace(self, looks=self.looks + 1)
            if content == self.content
            else UnchangedCount(content=content)
        )


def parse(content: bytes) -> LeaseRecord | None:
    """Return the record, or None for what is none: it is somebody's all the same, as long as it changes."""
    try:
        fields = json.loads(content)
        return LeaseRecord(
            holder=str(fields["holder"]),
            beat=int(fields["beat"]),
            sidecar=str(fields["sidecar"]),
            host=str(fields["host"]),
            pid=int(fields["pid"]),
            boot=str(fields["boot"]),
            device=int(fields["device"]),
            flocked=bool(fields["flocked"]),
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def is_holder_dead(content: bytes, ours: LockDomain) -> bool:
    """Tell whether its holder is certainly gone: it held the flock that we hold now.

    The number of a volume is given to no other one while anybody has it open, so a holder that lives
    elsewhere has another one, or another kernel.
    """
    record = parse(content)
    return (
        record is not None and record.flocked and LockDomain(boot=record.boot, device=record.device) == ours
    )


def _name(text: str) -> str:
    """Return a name that others wrote, short and on one line."""
    return "".join(char if char.isprintable() else "?" for char in text[:_NAME_CHARS_MAX])
