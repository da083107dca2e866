"""Takes from a daemon root's right to read any file, as in most containers: imported before it runs."""

from __future__ import annotations

import ctypes

_VERSION = 0x20080522  # of the call: two words for each set
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


def give_up() -> None:
    """Give the right up, for this process and for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(head, sets):
        raise OSError(ctypes.get_errno(), "capget failed")
    for which in (0, 1):  # effective, permitted
        sets[which] &= ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    if libc.capset(head, sets):
        raise OSError(ctypes.get_errno(), "capset failed")


give_up()
