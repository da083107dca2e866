"""Decides which redirects are followed: only to the endpoint's own doors.

These are the same origin, the bucket's name before the same host, and Amazon's https host of our bucket in
our region; for the same object, at most three times, signed anew. Whatever else a redirect points to is
named, and gets neither the renderer's bytes nor the session token.
"""

from __future__ import annotations

import re
from contextvars import ContextVar, Token
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

_HOPS_MAX = 3
_STATUSES = frozenset({301, 302, 307, 308})  # 303 asks for another method
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True, kw_only=True)
class RedirectScope:
    """Where one call goes, as a context manager around it."""

    bucket: str
    region: str
    _instead: str | None = None
    _went: str = ""
    _hops: int = 0
    _token: Token[RedirectScope | None] | None = None

    def __enter__(self) -> Self:
        """Take the requests of this task."""
        self._token = _WAY.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of them."""
        if self._token is not None:
            _WAY.reset(self._token)

    def go(self, url: str) -> str:
        """Return where a request for ``url`` goes; it is signed afterwards, for that host."""
        self._went = self._instead or url
        return self._went

    def turn(self, answer: dict[str, Any]) -> bool:
        """Tell whether an answer sends us elsewhere, and may be followed."""
        if not is_redirect(answer):
            return False
        location = answer["ResponseMetadata"]["HTTPHeaders"]["location"]
        try:
            asked = urlsplit(self._went)
            to = urlsplit(urljoin(self._went, location))
            allowed = self._is_ours(to, asked) and self._is_same(to, asked)
        except ValueError:  # no address at all
            return False
        self._instead = urlunsplit(to._replace(query=asked.query, fragment=""))
        self._hops += 1
        return allowed and self._hops <= _HOPS_MAX

    def _is_ours(self, to: SplitResult, asked: SplitResult) -> bool:
        if to.username is not None or to.hostname is None or asked.hostname is None:
            return False
        if _origin(to) == _origin(asked):
            return True
        if asked.hostname.endswith(_AWS):
            return _origin(to)[::2] == ("https", 443) and self._is_regional(to.hostname)
        same_door = _origin(to)[::2] == _origin(asked)[::2]
        return (
            same_door and not _is_address(asked.hostname) and to.hostname == f"{self.bucket}.{asked.hostname}"
        )

    def _is_regional(self, host: str) -> bool:
        bucket, region = re.escape(self.bucket.lower()), re.escape(self.region)
        named = rf"(?:{bucket}\.)?s3[.-](?:dualstack\.)?{region}\.amazonaws\.com(?:\.cn)?"
        return re.fullmatch(named, host) is not None

    def _is_same(self, to: SplitResult, asked: SplitResult) -> bool:
        """Tell whether it is the same object there, not a page to sign in."""
        key = unquote(asked.path).removeprefix(f"/{self.bucket}").rstrip("/")
        return unquote(to.path).rstrip("/").endswith(key)


_WAY: ContextVar[RedirectScope | None] = ContextVar("way", default=None)


def is_redirect(answer: dict[str, Any]) -> bool:
    """Tell whether an answer of the client library's names another address."""
    about = answer.get("ResponseMetadata", {})
    return about.get("HTTPStatusCode") in _STATUSES and bool(about.get("HTTPHeaders", {}).get("location"))


def redirected(url: str) -> str:
    """Return where a request goes: where its call was redirected, else to ``url``."""
    way = _WAY.get()
    return url if way is None else way.go(url)


def go_the_way(params: dict[str, Any], **_: Any) -> None:
    """Send a request of the client library where its call was redirected."""
    params["url"] = redirected(params["url"])


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
