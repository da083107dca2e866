"""Tells whether a connection that idled can be used again."""

from __future__ import annotations

import asyncio
import select

from aiohttp.client_proto import ResponseHandler

KEPT_SECONDS = 4.0  # what idles longer is not used again: servers and balancers cut after 5 or more


def ear_of(transport: asyncio.Transport) -> select.poll:
    """Return what tells whether a connection was cut, or says something."""
    ear = select.poll()
    ear.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
    return ear


def is_dead(protocol: ResponseHandler, ear: select.poll | None) -> bool:
    """Tell whether an idle connection was cut, or says what nobody asked.

    The event loop may not know it yet, but ``ear`` does; to ask it lets go of the interpreter.
    """
    transport = protocol.transport
    if transport is None or transport.is_closing() or protocol.should_close:
        return True
    return ear is not None and bool(ear.poll(0))
