"""Asks the kernel how many bytes of a connection the other side has acknowledged (TCP_INFO).

A body is handed to the kernel long before it arrives, up to megabytes of it that may lie there for minutes;
only this tells whether it moves. It works below TLS as well. Where the kernel does not say (gVisor, other
systems), what has left our own buffers has to do.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_LENGTH = 160
_UNACKED, _ACKED, _NOT_SENT = struct.Struct("=I"), struct.Struct("=Q"), struct.Struct("=I")
_UNACKED_AT, _ACKED_AT, _NOT_SENT_AT = 24, 120, 144  # struct tcp_info of linux/tcp.h; it only ever grows


class TcpConnection:
    """One connection while a body is on it, from where its bytes begin."""

    def __init__(self, transport: asyncio.Transport, *, written_bytes: int = 0) -> None:
        """Remember what was acknowledged before; ``written_bytes`` were written by us, into the transport."""
        self._transport = transport
        self._socket: Any = transport.get_extra_info("socket")
        info = self._info()
        self._before = _ACKED.unpack_from(info, _ACKED_AT)[0] if info else None
        self.written_bytes = written_bytes

    @property
    def is_told(self) -> bool:
        """Whether the kernel says what the other side has."""
        return self._before is not None

    def arrived(self) -> tuple[int, bool]:
        """Return how many bytes the other side has (with TLS's own), and whether none is on its way."""
        acked, pending = self._look()
        if acked is None or self._before is None:
            left = self._transport.get_write_buffer_size()
            return self.written_bytes - left, left == 0
        return acked - self._before, pending == 0

    def _look(self) -> tuple[int | None, int]:
        info = self._info()
        if not info:
            return None, 0
        pending = _UNACKED.unpack_from(info, _UNACKED_AT)[0] + _NOT_SENT.unpack_from(info, _NOT_SENT_AT)[0]
        return _ACKED.unpack_from(info, _ACKED_AT)[0], pending

    def _info(self) -> bytes:
        """Return what the kernel says; nothing where it does not."""
        if _TCP_INFO is None or self._socket is None:
            return b""
        try:
            info: bytes = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LENGTH)
        except OSError:  # closed, or no TCP
            return b""
        return info if len(info) >= _LENGTH - 8 else b""
