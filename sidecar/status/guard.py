"""Decides who may ask what, through which door.

Generated code runs in the renderer's network namespace and browsers run everybody's: TCP is read-only
without the token, and names that a foreign page could have pointed here are not answered.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

from sidecar.core.address import is_loopback


class DoorKind(Enum):
    """How a request came in."""

    SOCKET = auto()  # the unix socket: its mode is the permission
    LOOPBACK = auto()  # TCP on a loopback address
    NETWORK = auto()  # TCP on any other address: the token is needed to read, too
    PUBLIC = auto()  # public_listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One listener. ``host`` is the configured one, "" for the socket."""

    kind: DoorKind
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an operation asks of its caller."""

    changes: bool = False  # it changes something
    public: bool = False  # anybody who can connect may have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a request is refused: 401 where the token would have helped, otherwise 403."""

    status: int
    message: str
    hint: str


def door_of(host: str) -> Door:
    """Return the door of a TCP listener on ``host``."""
    return Door(kind=DoorKind.LOOPBACK if is_loopback(host) else DoorKind.NETWORK, host=host)


def objection(door: Door, need: Need, headers: Mapping[str, str], token: str | None) -> Objection | None:
    """Return why this request must not be answered, or None."""
    proven = token is not None and presents(headers.get("Authorization", ""), token)
    return _host(door, headers, proven=proven) or _origin(headers) or _proof(door, need, token, proven=proven)


def presents(authorization: str, token: str) -> bool:
    """Compare in constant time what a client presents with the token."""
    scheme, _, value = authorization.partition(" ")
    same = hmac.compare_digest(value.strip().encode(errors="replace"), token.encode())
    return same and scheme.lower() == "bearer"


def _host(door: Door, headers: Mapping[str, str], *, proven: bool) -> Objection | None:
    if door.kind in (DoorKind.SOCKET, DoorKind.PUBLIC) or (door.kind is DoorKind.NETWORK and proven):
        return None
    try:
        host = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    except ValueError:
        host = ""
    if is_loopback(host) or host == door.host.lower() or (_is_any(door.host) and _is_address(host)):
        return None
    return Objection(
        status=403,
        message="the Host header names neither a loopback address nor the address that is listened on",
        hint="ask for 127.0.0.1 or localhost",
    )


def _origin(headers: Mapping[str, str]) -> Objection | None:
    origin = headers.get("Origin")
    if origin is None or origin.lower() == f"http://{headers.get('Host', '')}".lower():
        return None
    return Objection(
        status=403,
        message="a page of another origin may not ask",
        hint="the Origin header must be absent or this endpoint's own",
    )


def _proof(door: Door, need: Need, token: str | None, *, proven: bool) -> Objection | None:
    guarded = need.changes or (door.kind is DoorKind.NETWORK and not need.public)
    if not guarded or proven or door.kind is DoorKind.SOCKET:
        return None
    return Objection(
        status=403 if token is None else 401,
        message="this request needs the unix socket or the token",
        hint="use status.socket, or send `Authorization: Bearer` with the content of status.token_file",
    )


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")  # noqa: S104 - recognised here, not bound


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
