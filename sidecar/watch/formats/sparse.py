"""Finds files that are much longer than what was written into them: one command makes a sparse terabyte."""

from __future__ import annotations

import os

from .base import incomplete

SIZE_BYTES_MIN = 1024**3  # a smaller one is read within a second, whatever is in it
WRITTEN_SHARE = 8  # hollow: less than an eighth of it is on the disk
BLOCK_BYTES = 512  # st_blocks counts these on every file system

HOLLOW = incomplete("nearly all of it is holes: its writer has made room and not filled it")


def is_hollow(fd: int, found: os.stat_result) -> bool:
    """Tell whether a large file is nearly all holes.

    Few blocks alone prove nothing, for file systems compress and remote ones make the number up: they
    must also admit to a hole before the end.
    """
    if found.st_size < SIZE_BYTES_MIN or found.st_blocks * BLOCK_BYTES >= found.st_size // WRITTEN_SHARE:
        return False
    return os.lseek(fd, 0, os.SEEK_HOLE) < found.st_size
