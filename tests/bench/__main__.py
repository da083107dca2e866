"""The long and growing rows of `sidecar bench`: `python -m tests.bench [OPTIONS]`. Not part of the test run.

A start with a million delivered files, and what a file costs beside more and more of them: two million inodes
and half an hour. `--rows all` has the short ones, too.
"""

from __future__ import annotations

import sys

from sidecar.cli import main

LONG = ("--rows", "start,growth", "--plain")

if __name__ == "__main__":
    sys.exit(main(["bench", *LONG, *sys.argv[1:]]))
