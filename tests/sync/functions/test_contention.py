"""Many sidecars in one session: where their calls meet, and what one call reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put

SIDECARS, ROUNDS = 32, 3


@pytest.fixture(scope="module")
def server() -> Iterator[ConvexServer]:
    """Every mutation takes 150 ms between its reads and its commit."""
    arguments = ["--exec-ms", "150", "--mutation-permits", str(SIDECARS)]
    with ConvexServer(dev_auth=True, arguments=arguments) as running:
        yield running


def test_thirty_two_sidecars_of_one_session_meet_in_nothing(server: ConvexServer) -> None:
    """Once each has begun: not in a counter, a marker, a heartbeat; and the totals are exact at once."""
    with ExitStack() as stack, ThreadPoolExecutor(SIDECARS) as pool:
        callers = [stack.enter_context(Caller(server.url)) for _ in range(SIDECARS)]
        server.control("options", {"execMs": 0})
        sidecars = [
            Sidecar(caller, sidecar_id=f"busy-{number}", session_id="p/busy")
            for number, caller in enumerate(callers)
        ]
        for sidecar in sidecars:
            sidecar.apply(put("0.mp4", entityId=sidecar.sidecar_id))
        server.control("options", {"execMs": 150})
        before = server.control("stats")

        def work(sidecar: Sidecar) -> None:
            for number in range(ROUNDS):
                ops = [put(f"{number}-{n}.mp4", entityId=sidecar.sidecar_id) for n in range(3)]
                assert sidecar.outcomes(*ops, facts(sidecar.sidecar_id)) == ["applied"] * 4

        list(pool.map(work, sidecars))
        after = server.control("stats")
    assert after["conflicts"] == before["conflicts"]
    assert after["exhausted"] == 0
    with Caller(server.url) as player:
        session = player.query("sessions:get", sessionId="p/busy")
    assert session["assetCount"] == SIDECARS * (1 + 3 * ROUNDS)
    assert (session["sceneCount"], session["readyCount"]) == (SIDECARS, SIDECARS)
