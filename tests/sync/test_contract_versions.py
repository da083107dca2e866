"""A sidecar of today and functions of yesterday, and the other way round."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from sidecar.core.clock import SystemClock
from sidecar.core.errors import SidecarError
from sidecar.core.ops import Batch, Op, OpKind
from sidecar.settings.convex import Convex
from sidecar.sync.convex import ConvexStore, open_store
from tests.support.convex import facts, put
from tests.support.ops import make_op
from tests.support.wire import Wire

REFUSED = {"status": "error", "errorMessage": "[Request ID: x] Server Error"}
MEDIA = {"duration": 2000, "width": 64, "height": 48, "frameRate": 25, "codec": "h264"}
FIRST = {  # the arguments that functions of the first contract know
    "ping": set[str](),
    "register": {"sidecarId", "journalId"},
    "heartbeat": {"sidecarId", "epoch"},
    "applyAssets": {"sidecarId", "projectId", "sessionId", "epoch", "ackedSeq", "ops"},
}
VALUES: dict[str, Any] = {"register": {"epoch": 1, "lastSeq": 0}, "ping": {}, "heartbeat": None}


class Functions:
    """Functions that can be replaced: as Convex does, they refuse arguments that they do not know."""

    def __init__(self, wire: Wire, contract: int) -> None:
        """Answer on the wire."""
        self.contract, self.calls = contract, list[str]()
        self.ops: list[dict[str, Any]] = []
        wire.handler = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        call = json.loads(await request.read())
        name, args = call["path"].removeprefix("sidecar:"), call["args"]
        self.calls.append(name)
        known = FIRST[name] | ({"contractVersion"} if self.contract > 1 else set())
        known |= {"onUnknownEntity"} if self.contract > 2 else set()
        ops = args.get("ops", [])
        if args.keys() - known or (self.contract == 1 and any(map(_is_new, ops))):
            return web.json_response(REFUSED)
        self.ops += ops
        return web.json_response({"status": "success", "value": self._value(name, args)})

    def _value(self, name: str, args: dict[str, Any]) -> Any:
        if name == "applyAssets":
            return [{"opId": op["opId"], "outcome": "applied", "version": 1} for op in args["ops"]]
        if name == "heartbeat":
            return None
        return VALUES[name] | {"contractVersion": min(args.get("contractVersion", 1), self.contract)}


def _is_new(op: dict[str, Any]) -> bool:
    return "expected" in op or bool(op.get("asset", {}).keys() & MEDIA.keys())


def opened(url: str, **over: Any) -> Any:
    """Open a client without credentials."""
    settings = Convex.model_validate({"url": url, "auth": {"mode": "none"}, **over})
    return open_store(settings, sidecar_id="s", clock=SystemClock(), version="1.2.3")


def ops() -> tuple[Op, ...]:
    """Return ops with all that is new."""
    film, scene = put(), facts(expected=12)
    film["asset"] |= MEDIA
    return tuple(
        make_op(
            kind, {name: value for name, value in op.items() if name not in {"opId", "seq", "kind"}}, seq=seq
        )
        for seq, (kind, op) in enumerate([(OpKind.PUT, film), (OpKind.FACTS, scene)], 1)
    )


async def tell(store: ConvexStore) -> None:
    """Send them."""
    batch = Batch(project_id="p", session_id="p/s", acked_seq=0, ops=ops())
    assert len(await store.apply(batch, sidecar_id="s", epoch=1)) == 2


async def test_functions_of_yesterday_are_told_what_they_know(wire: Wire) -> None:
    """They refuse to be asked for their contract, and every field that is new; the rest of an op arrives."""
    functions = Functions(wire, 1)
    async with opened(wire.url) as store:
        assert (await store.register(sidecar_id="s", journal_id="j")).contract_version == 1
        await tell(store)
    assert functions.calls == ["ping", "ping", "register", "applyAssets"]
    film, scene = functions.ops
    assert (film["asset"]["size"], scene["complete"]) == (1000, True)


async def test_functions_of_today_are_told_everything(wire: Wire) -> None:
    """One ping comes first, so that no field is ever sent in vain."""
    functions = Functions(wire, 3)
    async with opened(wire.url) as store:
        assert (await store.register(sidecar_id="s", journal_id="j")).contract_version == 3
        await tell(store)
    assert functions.calls == ["ping", "register", "applyAssets"]
    film, scene = functions.ops
    assert film["asset"].items() >= MEDIA.items()
    assert scene["expected"] == 12


async def test_functions_of_tomorrow_speak_the_contract_of_today(wire: Wire) -> None:
    """Their newest is theirs; what they are told is what this sidecar knows."""
    functions = Functions(wire, 4)
    async with opened(wire.url) as store:
        assert (await store.register(sidecar_id="s", journal_id="j")).contract_version == 3
        await tell(store)
    assert len(functions.ops) == 2


async def test_functions_of_the_second_contract_are_told_media_facts(wire: Wire) -> None:
    """What came with the third is no field of an op."""
    functions = Functions(wire, 2)
    async with opened(wire.url) as store:
        assert (await store.register(sidecar_id="s", journal_id="j")).contract_version == 2
        await tell(store)
    assert functions.ops[0]["asset"].items() >= MEDIA.items()


async def test_functions_that_cannot_wait_are_asked_for_nothing(wire: Wire) -> None:
    """They would make what is to be waited for: the queue stops, in a sentence."""
    functions = Functions(wire, 2)
    async with opened(wire.url, on_unknown_entity="wait") as store:
        for _ in range(2):
            with pytest.raises(SidecarError, match="speak contract version 2, this sidecar needs 3 at least"):
                await store.register(sidecar_id="s", journal_id="j")
        functions.contract = 3
        assert (await store.register(sidecar_id="s", journal_id="j")).contract_version == 3
        await tell(store)
    assert functions.calls == ["ping", "ping", "ping", "register", "applyAssets"]


async def test_functions_that_are_replaced_under_a_running_sidecar_are_found_out(wire: Wire) -> None:
    """Newer ones by the next heartbeat; older ones by the probe that follows each refusal."""
    functions = Functions(wire, 1)
    async with opened(wire.url) as store:
        await store.register(sidecar_id="s", journal_id="j")
        functions.contract = 2
        await store.beat(sidecar_id="s", epoch=1)
        await tell(store)
        assert functions.ops[0]["asset"].items() >= MEDIA.items()
        functions.contract = 1
        with pytest.raises(SidecarError) as refusal:
            await tell(store)
        assert refusal.value.redacted
        await store.probe()
        await tell(store)
    assert not functions.ops[2]["asset"].keys() & MEDIA.keys()
