"""What a file costs in statements, hops and reads: `python -m tests.bench.counts`. Not part of the test run.

The numbers that `tests/e2e/test_costs.py` holds, and what each is made of, the most frequent first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sidecar.local.bench.stub import ConvexStub
from sidecar.local.seaweed import SeaweedServer
from tests.support.counted import MIB, SMALL_BYTES, CountedSystem

SHOWN = 0.02  # of each file: what is rarer is the daemon's own


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.counts", description=__doc__)
    parser.add_argument("files", type=int, nargs="?", default=1000, help="of the burst")
    files, ones = parser.parse_args().files, 20
    with tempfile.TemporaryDirectory(prefix="counts-") as folder, SeaweedServer() as s3, ConvexStub() as stub:
        system = CountedSystem(Path(folder), s3, stub)
        try:
            system.start_counted()
            large = system.large(64 * MIB)
            say("a film of 64 MiB", 1, {**large.hops})
            say("", 1, {"bytes read for each byte sent": large.read_bytes / (64 * MIB)})
            one = system.trickle(ones)
            say("a trickle: statements", ones, one.statements)
            say("a trickle: hops", ones, one.hops)
            say("", ones, {"calls of Convex": one.calls})
            many = system.burst(files)
            say(f"a burst of {files}: statements", files, many.statements)
            say(f"a burst of {files}: hops", files, many.hops)
            say("", 1, {"bytes read for each byte sent": many.read_bytes / (files * SMALL_BYTES)})
            say("", 1, {"calls of Convex for each 1,000": many.calls * 1000 / files})
        finally:
            system.kill()


def say(title: str, files: int, counts: Mapping[str, float]) -> None:
    """Print what a file takes."""
    lines = [f"\n{title}: {sum(counts.values()) / files:.1f} a file"] if title else []
    for what, count in sorted(counts.items(), key=lambda one: -one[1]):
        if count / files >= SHOWN:
            lines.append(f"{count / files:9.2f}  {what}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
