"""A remote that is away for a while: named while it lasts, at nobody's expense, and over when it is over."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.faults import Fault
from tests.support.loopthread import LoopThread
from tests.support.proxy import FaultProxy
from tests.support.system import eventually

from .conftest import running
from .rig import MIB, Rig

FOREVER = float("inf")
# What never ends here would be the object's own fault (a wrong ETag) or is no fault (a duplicate).
LASTING = [fault for fault in Fault if fault not in {Fault.WRONG_ETAG, Fault.DUPLICATE, Fault.LATE}]
S3_ONLY = {Fault.REDIRECT_REGION, Fault.EARLY_REFUSAL, Fault.RESET_IN_BODY}
CASES = [("s3", fault) for fault in LASTING]
CASES += [("convex", fault) for fault in LASTING if fault not in S3_ONLY]
SAMPLE = {
    *(Fault.SLOW_DOWN, Fault.SERVER_ERROR_AFTER, Fault.FORBIDDEN, Fault.RESET_BEFORE, Fault.RESET_AFTER),
    *(Fault.HALF_REPLY, Fault.ERROR_IN_200, Fault.REDIRECT, Fault.HANG, Fault.EMPTY_200),
}
WORDS = {"s3": "S3", "convex": "Convex"}


@pytest.fixture
def own(tmp_path: Path, convex_server: ConvexServer, network: LoopThread) -> Iterator[Rig]:
    """Give a daemon with an S3 server of its own, which may be killed and stopped."""
    with SeaweedServer(folder=tmp_path / "s3") as server:
        yield from running(Rig(tmp_path, server, convex_server, network))


def some_files(rig: Rig, count: int = 3) -> None:
    """Write small files in one scene."""
    rig.lives += 1
    for n in range(count):
        rig.write(f"source/f{rig.lives}_{n}.py", f"print({n}, {rig.lives})\n".encode())


def proxy_of(rig: Rig, remote: str) -> FaultProxy:
    """Return the proxy before a remote."""
    return rig.s3_proxy if remote == "s3" else rig.convex_proxy


def named(rig: Rig, remote: str) -> bool:
    """I7: /status names the remote, and the metrics count the errors."""
    status = rig.status()
    rig.said.append(str(status))
    reasons = " ".join(status["reasons"])
    return status["state"] == "degraded" and WORDS[remote] in reasons and rig.errors() > 0


@pytest.mark.parametrize(("remote", "fault"), CASES)
def test_an_outage_of_any_kind_is_named_and_costs_nothing(
    shared: Rig, remote: str, fault: Fault, request: pytest.FixtureRequest
) -> None:
    """Every request fails the same way, more often than an object has attempts; then none does."""
    if fault not in SAMPLE and request.config.getoption("--faults") != "all":
        pytest.skip("with --faults=all")
    proxy = proxy_of(shared, remote)
    armed = proxy.arm(fault, times=FOREVER)
    some_files(shared)
    try:
        eventually("status names it", lambda: named(shared, remote))
        eventually("it lasts", lambda: armed.fired >= 10)
        assert shared.journal.count("transfers WHERE failures > 0") == 0
        assert shared.journal.count("outbox WHERE failures > 0") == 0
    finally:
        shared.clear()
    shared.wait_quiet()
    eventually("all is well", lambda: shared.status()["state"] == "ok")
    shared.verify()


def test_both_remotes_away_at_once(shared: Rig) -> None:
    """Nobody listens at either address; files come meanwhile."""
    shared.s3_proxy.stop()
    shared.convex_proxy.stop()
    try:
        some_files(shared, 10)
        shared.write("video/away.mp4", shared.data(10 * MIB + 1))
        eventually("S3 is named", lambda: named(shared, "s3"))
        assert shared.journal.count("transfers WHERE failures > 0") == 0
    finally:
        shared.s3_proxy.start()
        shared.convex_proxy.start()
    shared.wait_quiet()
    shared.verify()


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_s3_is_killed_in_the_middle_of_a_multipart_upload(own: Rig, operation: str) -> None:
    """SIGKILL at each step; its disk keeps what it acknowledged, the daemon sends the rest."""
    armed = own.s3_proxy.arm(Fault.HANG, operation=operation)
    own.lives += 1
    own.write("video/film.mp4", own.data(10 * MIB + 5))
    eventually("the moment", lambda: armed.fired)
    own.s3.kill()
    own.s3_proxy.clear()
    eventually("it is named", lambda: named(own, "s3"))
    own.s3.restart()
    own.client = own.truth.client = own.s3.client()
    own.wait_quiet()
    own.verify()


def test_s3_stands_still_and_goes_on(own: Rig) -> None:
    """SIGSTOP: connections are accepted and nobody answers; idle time limits end every wait."""
    some_files(own)
    own.wait_quiet()
    assert own.s3.pid
    own.lives += 1
    os.killpg(own.s3.pid, signal.SIGSTOP)
    try:
        own.write("video/film.mp4", own.data(10 * MIB + 6))
        some_files(own)
        eventually("it is named", lambda: named(own, "s3"))
        assert own.get("/healthz")["status"] == "ok"
    finally:
        os.killpg(own.s3.pid, signal.SIGCONT)
    own.wait_quiet()
    own.verify()


def test_a_thin_sliced_line_with_latency_loses_nothing(rig: Rig) -> None:
    """Answers in slices of 7 bytes, 30 ms each way, 20 MB/s."""
    for proxy in (rig.s3_proxy, rig.convex_proxy):
        proxy.shape.latency_seconds, proxy.shape.slice_bytes = 0.03, 7
        proxy.shape.bytes_per_second = 20e6
    some_files(rig, 20)
    rig.write("video/film.mp4", rig.data(10 * MIB + 7))
    rig.wait_quiet()
    rig.verify()
