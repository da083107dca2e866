"""``host:port`` as people write it, and whether only this machine can reach it."""

from __future__ import annotations

import ipaddress

PORT_MAX = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:9745``, ``[::1]:9745`` or ``:9745`` (every address).

    Port 0 asks the system for a free one. Raises ValueError for anything else.
    """
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is no address; write host:port such as 127.0.0.1:9745 or [::1]:9745")
    if int(port) > PORT_MAX:
        raise ValueError(f"{text!r} names port {port}; the highest port is {PORT_MAX}")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what an empty host means everywhere


def is_loopback(host: str) -> bool:
    """Whether only this machine (this network namespace) reaches the host."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
