"""Decides which proxy a URL is reached through, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

The one place that decides it, for S3, STS, SSO and Convex alike: their libraries read these variables each in
its own way, and some of them send what stays on this machine to a proxy. As in curl, a lower-case name comes
first, and one that is set to nothing means none.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080}
# curl takes the last for version 4; desktops mean whatever the proxy speaks, and version 5 is what they do.
_SPELLINGS = {"socks5h": "socks5", "socks": "socks5"}
_EXAMPLE = "write it as http://proxy.example.com:3128"


class ProxyError(ValueError):
    """A variable names no usable proxy: one sentence, without its value, which may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy; with ``socks5`` it resolves the names."""

    scheme: str  # http | https | socks5
    host: str
    port: int
    username: str | None = None
    password: str = ""

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxies:
    """Answers which proxy a URL goes through, by the variables of one environment."""

    environ: Mapping[str, str]

    def of(self, url: str) -> Proxy | None:
        """Return the proxy for a URL, None for a direct connection. Raises ProxyError."""
        split = urlsplit(url)
        host, port = _bare(split.hostname or ""), split.port or _PORTS.get(split.scheme, 0)
        if stays_here(host) or self._excepts(host, port):
            return None
        for name in (f"{split.scheme}_proxy", "all_proxy"):
            variable, value = self._read(name)
            if value is not None:
                return _proxy(variable, value) if value else None
        return None

    def _excepts(self, host: str, port: int) -> bool:
        entries = re.split(r"[\s,]+", self._read("no_proxy")[1] or "")
        return any(_covers(entry.lower(), host, port) for entry in entries if entry)

    def _read(self, name: str) -> tuple[str, str | None]:
        for spelling in (name, name.upper()):
            if spelling in self.environ:
                return spelling, self.environ[spelling].strip()
        return name, None


def stays_here(host: str) -> bool:
    """Whether a host is this machine itself, which no proxy knows as we do."""
    host = _bare(host)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return any(address.is_loopback or address.is_unspecified for address in _addresses(host))


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY covers a host: a name and all below it, a network, a wildcard."""
    entry = entry.rpartition("://")[2]
    network = _network(entry)
    if network is None:
        bracketed = re.fullmatch(r"(\[.*\]|[^:]*):(\d+)/?", entry)
        entry, only = (bracketed[1], int(bracketed[2])) if bracketed else (entry.rstrip("/"), port)
        if only != port:
            return False
        network = _network(entry)
    if network is not None:
        return any(each.version == network.version and each in network for each in _addresses(host))
    if "*" in entry:
        return re.fullmatch(".*".join(map(re.escape, entry.split("*"))), host) is not None
    name = entry.strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    base, slash, bits = text.partition("/")
    try:
        return ipaddress.ip_network(f"{_bare(base)}{slash if bits else ''}{bits}", strict=False)
    except ValueError:
        return None


def _addresses(host: str) -> list[Address]:
    """Return the address that is written there, also as 127.1, 0x7f000001 or ::ffff:127.0.0.1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}", host, re.ASCII):
            return []
        try:
            return [ipaddress.IPv4Address(socket.inet_aton(host))]
        except OSError:
            return []
    mapped = getattr(address, "ipv4_mapped", None)
    return [address] if mapped is None else [address, mapped]


def _bare(host: str) -> str:
    """Return a host without brackets, zone and the dot of the root."""
    return host.lower().strip("[]").partition("%")[0].rstrip(".")


def _proxy(variable: str, value: str) -> Proxy:
    text = value if "://" in value else f"http://{value.removeprefix('//')}"
    try:
        split = urlsplit(text)
        scheme = _SPELLINGS.get(split.scheme, split.scheme)
        host, port = _bare(split.hostname or ""), split.port
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError:  # of whatever it says: the text may hold a password
        raise ProxyError(f"{variable} is no address of a proxy; {_EXAMPLE}") from None
    if scheme not in _PROXY_PORTS:
        known = re.fullmatch(r"[a-z0-9]{1,10}", scheme)
        what = f"names a {scheme} proxy, which is not supported" if known else "is no address of a proxy"
        raise ProxyError(f"{variable} {what}; write one of http, https or socks5, such as {_EXAMPLE[12:]}")
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise ProxyError(f"{variable} is no address of a proxy; {_EXAMPLE}")
    username = None if split.username is None else unquote(split.username)
    password = unquote(split.password or "")
    if scheme == "socks5" and not f"{username}{password}".isascii():
        raise ProxyError(f"{variable} holds credentials that are not ASCII, which SOCKS does not take")
    return Proxy(
        scheme=scheme,
        host=host,
        port=port or _PROXY_PORTS[scheme],
        username=username,
        password=password,
    )
