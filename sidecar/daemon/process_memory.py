"""Keeps this process's memory small and out of others' reach: heaps, core files, debuggers."""

from __future__ import annotations

import ctypes
import resource

PR_SET_DUMPABLE = 4
_ARENA_MAX, _TRIM_THRESHOLD = -8, -1  # mallopt's parameters, from glibc's malloc.h
ARENAS = 3
TRIM_BYTES = 1024 * 1024  # 128 KiB came and went with every few small files, page by page


def forbid_dumps() -> None:
    """Let nobody have this process's memory: no core file, no debugger of the same user.

    The limit alone does not stop a core handler that the kernel pipes to. Where prctl is refused (a
    seccomp profile, say) the limit has to do.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def keep_heaps_small() -> None:
    """Share three heaps among all threads, and give free memory back. Call it before threads start.

    The bodies of parts pass through many threads; with glibc's default of eight heaps a core their
    traces stayed resident for ever: 131 MiB after one upload of 200 MiB, and 114 MiB with these limits. With
    two the journal's thread waited for the readers of files: 5 % of the CPU of a burst.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc: musl has one heap anyway
        return
    mallopt(_ARENA_MAX, ARENAS)
    mallopt(_TRIM_THRESHOLD, TRIM_BYTES)
