"""Debian's Chromium, headless, by its own protocol: pages that are opened, asked, frozen and photographed."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from .patience import DEADLINE_SECONDS

BINARY = Path("/usr/bin/chromium")
_SEEN = """JSON.stringify([document.visibilityState, window.seen, [...document.querySelectorAll("video")]
  .map((one) => [one.currentTime, one.readyState, one.paused, one.ended])])"""
# The last ones keep a page at work that nobody sees, as a headless one is; others keep the network quiet.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--window-size=1280,900"),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
)


def skip_unless_wanted(request: pytest.FixtureRequest) -> None:
    """Skip the test, with a sentence, without ``--browser`` or without Chromium."""
    if not request.config.getoption("--browser"):
        pytest.skip("plays in a browser only with --browser")
    if not BINARY.exists():
        pytest.skip(f"there is no {BINARY}: apt-get install chromium")


class Chromium:
    """A browser with a profile of its own. Use it as an async context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._profile = Path(tempfile.mkdtemp(prefix="sidecar-chromium-"))
        self._process: asyncio.subprocess.Process | None = None
        self._http = aiohttp.ClientSession(trust_env=False)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._reader: asyncio.Task[None] | None = None
        self.complaints: list[str] = []  # what pages threw

    async def __aenter__(self) -> Self:
        """Start it and connect."""
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            BINARY, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank", stdout=quiet, stderr=quiet
        )
        file = self._profile / "DevToolsActivePort"
        await eventually(lambda: file.exists() and file.read_text().count("\n") >= 1)
        port, path = file.read_text().splitlines()[:2]
        self._socket = await self._http.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it; its profile goes."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await asyncio.wait({self._reader})  # its socket ends with the process
        await self._http.close()
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)

    async def open(self, url: str, *, window: bool = True) -> Tab:
        """Open a page in a window of its own, or in a tab that hides the one before."""
        target = await self.call("Target.createTarget", url="about:blank", newWindow=window)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Tab(self, attached["sessionId"])
        await tab.call("Page.enable")
        await tab.call("Runtime.enable")
        await tab.call("Page.navigate", url=url)
        return tab

    async def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        assert self._socket is not None
        number = next(self._numbers)
        answered = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json({**message, "sessionId": session} if session else message)
        answer = await asyncio.wait_for(answered, DEADLINE_SECONDS)
        del self._answers[number]
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        assert self._socket is not None
        async for message in self._socket:
            told = json.loads(message.data)
            if (waiting := self._answers.get(told.get("id", 0))) is not None and not waiting.done():
                waiting.set_result(told)
            if told.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(told["params"]["exceptionDetails"]["exception"]["description"])


class Tab:
    """A page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        """Of an attached target."""
        self._browser, self._session = browser, session

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return await self._browser.call(method, self._session, **params)

    async def evaluate(self, expression: str) -> Any:
        """Return an expression's value, of a promise what it comes to."""
        told = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true there; return its value."""
        found: list[Any] = []

        async def is_true() -> bool:
            found[:] = [await self.evaluate(expression)]
            return bool(found[0])

        try:
            await eventually(is_true)
        except AssertionError:
            seen = await self.evaluate(_SEEN)
            raise AssertionError(f"{expression}: {seen}\n{self._browser.complaints}") from None
        return found[0]

    async def is_frozen(self, *, frozen: bool) -> None:
        """Freeze the page as the browser does with one in the background, or thaw it."""
        await self.call("Page.setWebLifecycleState", state="frozen" if frozen else "active")

    async def look_at(self) -> None:
        """Bring the page to the front: what nobody sees does not play."""
        await self.call("Page.bringToFront")

    async def is_offline(self, *, offline: bool) -> None:
        """Cut the page's network, sockets too, or give it back."""
        await self.call("Network.enable")
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self.call("Network.emulateNetworkConditions", offline=offline, **speed)

    async def photograph(self, target: Path) -> None:
        """Write a PNG of what is to be seen."""
        told = await self.call("Page.captureScreenshot")
        target.write_bytes(base64.b64decode(told["data"]))


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for a condition, which may be a coroutine function. Raises AssertionError after the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_SECONDS
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert loop.time() < deadline, "it never came true"
        await asyncio.sleep(0.02)
