"""How long commands take as whole processes: `python -m tests.bench.commands`. Not part of the test run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

BUDGETS_MS = {"health": 150, "--help": 400}
RUNS = 15


def main() -> None:
    """Print minimum and median of each command, beside what it may take."""
    for command, budget in BUDGETS_MS.items():
        times = sorted(_milliseconds(command) for _ in range(RUNS))
        median = statistics.median(times)
        print(f"sidecar {command:8} min {times[0]:4.0f} ms  median {median:4.0f} ms  budget {budget} ms")  # noqa: T201 - its purpose


def _milliseconds(command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sidecar", command], capture_output=True, check=False)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
