"""The HTTP client against a loopback server that answers whatever a test wants, on the wire."""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import Batch, OpKind, ReportedScene
from sidecar.core.scenes import SceneFacts
from sidecar.local.ports import free_port
from sidecar.settings.convex import Convex
from sidecar.settings.secret import Secret
from sidecar.sync.convex import ConvexStore, open_store
from tests.support.ops import make_op
from tests.support.relay import Relay
from tests.support.wire import Wire


@pytest.fixture
async def store(wire: Wire) -> AsyncIterator[ConvexStore]:
    """The client, with half a second of patience."""
    async with opened(wire.url) as one:
        yield one


def opened(url: str, **over: Any) -> Any:
    """Open a client without credentials."""
    settings = Convex.model_validate({"url": url, "auth": {"mode": "none"}, "timeout": 0.5, **over})
    return open_store(settings, sidecar_id="s", clock=SystemClock(), version="1.2.3")


async def failure(store: ConvexStore) -> SidecarError:
    """Return what a probe raises."""
    with pytest.raises(SidecarError) as caught:
        await store.probe()
    return caught.value


def app_error(code: str) -> dict[str, Any]:
    """Return a ConvexError's wire form."""
    data = {"code": code, "message": "because", "retryable": False}
    return {"status": "error", "errorMessage": "[Request ID: x] Server Error", "errorData": data}


TABLE = [
    # status, body, kind, maybe committed, redacted
    (200, app_error("FENCED"), ErrorKind.CONFLICT, False, False),
    (200, app_error("UNREGISTERED"), ErrorKind.CONFLICT, False, False),
    (200, app_error("BATCH_TOO_LARGE"), ErrorKind.INVALID, False, False),
    (200, app_error("FORBIDDEN"), ErrorKind.FORBIDDEN, False, False),
    (200, app_error("UNAUTHENTICATED"), ErrorKind.UNAUTHORIZED, False, False),
    (200, app_error("YOUR_OWN"), ErrorKind.UNKNOWN, False, False),
    (560, app_error("FORBIDDEN"), ErrorKind.FORBIDDEN, False, False),
    (200, {"status": "error", "errorMessage": "Server Error"}, ErrorKind.UNKNOWN, False, True),
    (503, {"code": "OptimisticConcurrencyControlFailure"}, ErrorKind.CONFLICT, False, False),
    (503, {"code": "ExpiredInQueue", "message": "m"}, ErrorKind.THROTTLED, False, False),
    (503, {"code": "NewWord", "message": "m"}, ErrorKind.THROTTLED, False, False),
    (503, "<html>maintenance</html>", ErrorKind.NETWORK, True, False),
    (429, {"code": "TooManyConcurrentRequests"}, ErrorKind.THROTTLED, False, False),
    (429, "slow down", ErrorKind.THROTTLED, False, False),
    (500, {"code": "InternalServerError"}, ErrorKind.NETWORK, True, False),
    (408, {"code": "RequestTimeout"}, ErrorKind.NETWORK, True, False),
    (502, "bad gateway", ErrorKind.NETWORK, True, False),
    (504, "", ErrorKind.NETWORK, True, False),
    (400, {"code": "BadJsonBody", "message": "m"}, ErrorKind.INVALID, False, False),
    (413, "", ErrorKind.INVALID, False, False),
    (401, {"code": "Unauthenticated", "message": "m"}, ErrorKind.UNAUTHORIZED, False, False),
    (402, {"code": "Unpaid", "message": "m"}, ErrorKind.QUOTA, False, False),
    (403, {"code": "Unauthorized", "message": "m"}, ErrorKind.FORBIDDEN, False, False),
    (404, "", ErrorKind.NOT_FOUND, False, False),
    (200, "<html>welcome</html>", ErrorKind.NOT_FOUND, False, False),
    (302, "", ErrorKind.NOT_FOUND, False, False),
    (200, "[" * 100_000, ErrorKind.NOT_FOUND, False, False),
    (200, {"status": "success"}, ErrorKind.NOT_FOUND, False, False),
    (200, {"status": "success", "value": {"contractVersion": "x"}}, ErrorKind.UNKNOWN, True, True),
    (200, {"status": "success", "value": {"contractVersion": 1.5}}, ErrorKind.UNKNOWN, True, True),
    (200, {"status": "success", "value": {"contractVersion": 4}}, ErrorKind.NOT_FOUND, False, False),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "committed", "redacted"), TABLE, ids=lambda value: str(value)[:40]
)
async def test_every_answer_means_what_the_table_says(
    wire: Wire, store: ConvexStore, status: int, body: Any, kind: ErrorKind, committed: bool, redacted: bool
) -> None:
    """``TABLE``, row by row; each with a message for people."""
    wire.answers(status, body)
    error = await failure(store)
    assert (error.kind, error.maybe_done, error.redacted) == (kind, committed, redacted)
    assert error.message
    assert len(str(error)) < 2000


async def test_a_wrong_address_is_said_to_be_one(wire: Wire, store: ConvexStore) -> None:
    """A web site, or Convex's own for HTTP actions, is told apart from an outage."""
    wire.answers(404, "No matching routes found")
    error = await failure(store)
    assert error.hint is not None
    assert ".convex.cloud" in error.hint


async def test_missing_functions_are_said_to_be_missing(wire: Wire, store: ConvexStore) -> None:
    """Where the deployment does not hide it, the hint is the command that mends it."""
    wire.answers(
        200, {"status": "error", "errorMessage": "Could not find public function for 'sidecar:ping'"}
    )
    error = await failure(store)
    assert error.hint is not None
    assert "sidecar convex install" in error.hint


async def test_nobody_listening_cannot_have_committed() -> None:
    """Refused connections are no answer and no effect."""
    async with opened(f"http://127.0.0.1:{free_port()}") as store:
        error = await failure(store)
    assert (error.kind, error.maybe_done) == (ErrorKind.NETWORK, False)


async def test_a_lost_answer_may_have_committed(wire: Wire, store: ConvexStore) -> None:
    """The connection breaks after the request, or in the middle of the answer."""

    async def broken(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    wire.handler = broken
    error = await failure(store)
    assert (error.kind, error.maybe_done) == (ErrorKind.NETWORK, True)


async def test_a_call_is_bounded_in_time(wire: Wire, store: ConvexStore) -> None:
    """A server that trickles one byte after another is no way to wait for ever."""

    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    wire.handler = trickling
    error = await failure(store)
    assert (error.kind, error.maybe_done) == (ErrorKind.NETWORK, True)
    assert (error.code, error.of_the_line) == ("TooSlow", True)


async def test_a_batch_on_a_slow_line_takes_its_time(wire: Wire) -> None:
    """Some 35 kB at 40 kB/s take longer than the limit; it moves all the time."""
    wire.answers(200, {"status": "success", "value": [None] * 200})
    at = urlsplit(wire.url)
    relay = Relay(upstream=(at.hostname or "", at.port or 0), bytes_per_second=40_000)
    slots = [
        Slot(
            session_id="s" * 40,
            entity_type=EntityType.SCENE,
            entity_id="e" * 40,
            asset_type=AssetType.VIDEO_CHUNK,
            name=f"{n}.mp4",
        )
        for n in range(200)
    ]
    async with relay.listening(), opened(relay.url) as store:
        begun = time.monotonic()
        assert await store.current_assets(slots) == [None] * 200
    assert time.monotonic() - begun > 0.6


async def test_a_huge_answer_is_not_read(wire: Wire, store: ConvexStore) -> None:
    """Some megabytes are enough to know that it is not ours."""
    wire.answers(200, "x" * (5 * 1024 * 1024))
    error = await failure(store)
    assert error.redacted
    assert "huge" in error.message


async def test_a_compressed_answer_is_not_unfolded(wire: Wire, store: ConvexStore) -> None:
    """We ask for none; one that comes all the same is not Convex's."""

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(bytes(1_000_000)), headers={"Content-Encoding": "gzip"})

    wire.handler = bomb
    assert (await failure(store)).kind is ErrorKind.NOT_FOUND


async def test_the_call_is_what_convex_expects(wire: Wire, store: ConvexStore) -> None:
    """Path, format and headers."""
    await store.probe()
    path, headers, body = wire.requests[0]
    assert path == "/api/query"
    assert body == {"path": "sidecar:ping", "args": {"contractVersion": 3}, "format": "json"}
    assert headers["Convex-Client"] == "render-sidecar-1.2.3"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


async def test_a_call_looks_for_no_module(store: ConvexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported in vain is looked for on the disk again each time, on the event loop."""
    looked_for: list[str] = []

    class Finder:
        """Finds nothing."""

        def find_spec(self, name: str, *_: object) -> None:
            """Note it."""
            looked_for.append(name)

    await store.probe()
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    await store.probe()
    assert looked_for == []


async def test_hostile_names_survive_the_wire(wire: Wire, store: ConvexStore) -> None:
    """Emoji, quotes and control characters arrive as they are."""
    name = 'sc"ène \U0001f3ac\x01.mp4'
    op = make_op(OpKind.REMOVE, {"name": name})
    value = [{"opId": "o", "outcome": "applied", "version": 3.0}]
    wire.answers(200, {"status": "success", "value": value})
    batch = Batch(project_id="p", session_id="s", acked_seq=0, ops=(op,))
    (result,) = await store.apply(batch, sidecar_id="s", epoch=1)
    assert result.version == 3
    assert isinstance(result.version, int)
    assert wire.requests[0][2]["args"]["ops"][0]["name"] == name


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{"opId": "other", "outcome": "applied"}],
        [{"opId": "o", "outcome": "exploded"}],
        [None],
        {"results": []},
    ],
)
async def test_results_that_do_not_fit_settle_nothing(wire: Wire, store: ConvexStore, value: Any) -> None:
    """Never guess which op an outcome belongs to: the same opIds are sent again."""
    wire.answers(200, {"status": "success", "value": value})
    op = make_op(OpKind.REMOVE, {})
    batch = Batch(project_id="p", session_id="s", acked_seq=0, ops=(op,))
    with pytest.raises(SidecarError) as caught:
        await store.apply(batch, sidecar_id="s", epoch=1)
    assert caught.value.maybe_done


SCENE = {"projectId": "p", "sessionId": "s", "sceneId": "c", "complete": False, "owed": 1, "reason": None}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"scenes": []},
        {"scenes": None, "cursor": None},
        {"scenes": ["intro"], "cursor": None},
        {"scenes": [{**SCENE, "owed": -1}], "cursor": None},
        {"scenes": [{"projectId": "p"}], "cursor": None},
    ],
)
async def test_a_page_of_scenes_that_does_not_fit_is_refused(
    wire: Wire, store: ConvexStore, value: Any
) -> None:
    """None of them is taken up."""
    wire.answers(200, {"status": "success", "value": value})
    with pytest.raises(SidecarError) as caught:
        await store.unfinished_scenes(sidecar_id="s", cursor=None)
    assert caught.value.kind is ErrorKind.UNKNOWN


async def test_a_page_of_scenes_is_read(wire: Wire, store: ConvexStore) -> None:
    """Convex's numbers are floats; ours are not."""
    wire.answers(200, {"status": "success", "value": {"scenes": [{**SCENE, "owed": 1.0}], "cursor": "more"}})
    page = await store.unfinished_scenes(sidecar_id="s", cursor=None)
    facts = SceneFacts(complete=False, owed=1, error=None, reason=None)
    assert page.scenes == (ReportedScene(project_id="p", session_id="s", scene_id="c", facts=facts),)
    assert page.cursor == "more"


async def test_a_body_over_the_limit_is_not_sent(wire: Wire, store: ConvexStore) -> None:
    """Convex takes 16 MiB; the stage halves the batch."""
    op = make_op(OpKind.REMOVE, {"name": "x" * 17_000_000})
    batch = Batch(project_id="p", session_id="s", acked_seq=0, ops=(op,))
    with pytest.raises(SidecarError) as caught:
        await store.apply(batch, sidecar_id="s", epoch=1)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "BATCH_TOO_LARGE")
    assert wire.requests == []


async def test_a_deploy_key_calls_the_internal_twins(wire: Wire) -> None:
    """With ``Convex <key>``, which no error ever shows."""
    auth = {"mode": "deploy_key", "deploy_key": Secret("prod:secret|abc")}
    async with opened(wire.url, auth=auth) as store:
        await store.probe()
        wire.answers(403, {"code": "Unauthorized", "message": "no"})
        error = await failure(store)
    assert wire.requests[0][1]["Authorization"] == "Convex prod:secret|abc"
    assert wire.requests[0][2]["path"] == "sidecar:pingInternal"
    assert "secret" not in str(error)


async def test_redirects_are_not_followed(wire: Wire, store: ConvexStore) -> None:
    """Credentials go to the configured address only."""
    wire.answers(307, "", Location=f"{wire.url}/elsewhere")
    await failure(store)
    assert len(wire.requests) == 1
