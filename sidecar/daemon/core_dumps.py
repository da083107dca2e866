"""Keeps secrets out of core files and out of other processes' reach."""

from __future__ import annotations

import ctypes
import resource

PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """Let nobody have this process's memory: no core file, no debugger of the same user.

    The limit alone does not stop a core handler that the kernel pipes to. Where prctl is refused (a
    seccomp profile, say) the limit has to do.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
