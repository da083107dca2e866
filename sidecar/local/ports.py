"""Free loopback ports, chosen so that a server finds them still free a moment later.

SeaweedFS takes every port that it is given plus that port + 10000. Both lie below 32768, where Linux
begins to hand out ports to outgoing connections, so only another server can get in between; a
launcher that loses that race starts again with other ports.
"""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
COMPANION = 10_000  # SeaweedFS serves gRPC on port + 10000
_FIRST, _LAST = 10_240, 20_240  # so that no port is another one's companion
_TRIES = 2_000


class NoFreePortError(Exception):
    """This machine has no pair of free ports left to give."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ``count`` distinct ports that are free together with their companions.

    Raises NoFreePortError.
    """
    chosen: list[int] = []
    for port in random.SystemRandom().choices(range(_FIRST, _LAST), k=_TRIES):
        if len(chosen) == count:
            return chosen
        if port not in chosen and is_free(port) and is_free(port + COMPANION):
            chosen.append(port)
    raise NoFreePortError(f"no {count} free ports between {_FIRST} and {_LAST} on {LOOPBACK}")


def free_port() -> int:
    """Return one free port."""
    return free_ports(1)[0]
