"""The client library's HTTP session, whose requests go our way out, on our connections."""

from __future__ import annotations

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from sidecar.connections.proxy_route import ProxyRoute

from .outbound import Outbound


class LibrarySession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore is untyped
    """Sends what the client library asks, and names what breaks."""

    def __init__(self, *, way: ProxyRoute, outbound: Outbound | None = None, **arguments: Any) -> None:
        """``arguments`` are aiobotocore's; what they say of proxies and certificates is not heard.

        ``outbound`` has the connections, and whoever gave it closes it; None: this session's own.
        """
        super().__init__(**(arguments | {"proxies": {}, "verify": True}))
        self._proxy_config, self._is_ours = way, outbound is None
        self._outbound = outbound or Outbound(
            way=way,
            timeout=self._timeout,
            connections=self._max_pool_connections,
            kept_seconds=self._connector_args["keepalive_timeout"],
        )

    async def __aexit__(self, *error: object) -> None:
        """Close all connections."""
        await super().__aexit__(*error)
        if self._is_ours:
            await self._outbound.close()

    async def _get_session(self, proxy_url: str | None) -> Any:
        return await self._outbound.session(proxy_url)
