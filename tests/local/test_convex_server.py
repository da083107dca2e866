"""The local Convex server: Convex's wire with its faults, started quickly and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecar.local.child import ServerError
from sidecar.local.convex_server import FUNCTIONS, ConvexServer, assemble
from tests.support.convex import Caller, Refused, Sidecar, put
from tests.support.patience import DEADLINE_SECONDS

APPLY = "sidecar:applyAssets"


@pytest.fixture(scope="module")
def server() -> Iterator[ConvexServer]:
    """One server as `sidecar dev` starts it."""
    with ConvexServer(dev_auth=True) as running:
        yield running


@pytest.fixture
def caller(server: ConvexServer) -> Iterator[Caller]:
    """A client without credentials; the tables are empty."""
    server.control("reset", {})
    with Caller(server.url) as one:
        yield one


@pytest.fixture
def sidecar(caller: Caller) -> Sidecar:
    """A sidecar in auth mode none."""
    return Sidecar(caller, sidecar_id="a", session_id="p/s")


def refused(call: Any) -> tuple[int, str | None]:
    """Return the status and the code of a refusal."""
    with pytest.raises(Refused) as info:
        call()
    return info.value.status, info.value.code


def test_without_credentials_a_call_is_its_sidecars_and_reading_is_open(sidecar: Sidecar) -> None:
    """Auth mode none works here, and only here."""
    assert sidecar.outcomes(put()) == ["applied"]
    scene = sidecar.caller.query("scenes:get", sessionId="p/s", sceneId="intro")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:A"


def test_two_sidecars_without_credentials_are_two(caller: Caller) -> None:
    """The arguments name them."""
    one = Sidecar(caller, sidecar_id="a", session_id="p/s")
    other = Sidecar(caller, sidecar_id="b", session_id="p/s")
    one.apply(put(content="A"))
    assert other.apply(put(content="B"))[0]["code"] == "TAKEOVER"


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "status": 503, "body": {"code": "an object"}},
        {"action": "error"},
        {"action": "explode"},
        {"action": "delay"},
    ],
)
def test_a_fault_that_cannot_be_served_is_refused(server: ConvexServer, fault: dict[str, Any]) -> None:
    """At once, not by an end of the server when a call meets it."""
    with pytest.raises(urllib.error.HTTPError, match="400"):
        server.control("faults", [fault])
    assert server.control("faults") == []


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ({"action": "error", "status": 503, "code": "OptimisticConcurrencyControlFailure"}, None),
        ({"action": "error", "status": 429, "code": "TooManyConcurrentRequests"}, None),
        ({"action": "error_after", "status": 500, "code": "InternalServerError"}, "duplicate"),
        ({"action": "drop_before"}, None),
        ({"action": "drop_after"}, "duplicate"),
        ({"action": "delay", "ms": 1}, "duplicate"),
    ],
    ids=["conflict", "throttled", "error after commit", "drop before", "drop after", "delay"],
)
def test_a_fault_strikes_as_often_as_asked(
    server: ConvexServer, sidecar: Sidecar, fault: dict[str, Any], answer: str | None
) -> None:
    """Once by default; after it the same op tells whether the first try was committed."""
    server.control("faults", [{**fault, "path": APPLY}])
    op = put()
    if fault["action"] == "delay":
        sidecar.apply(op)
    else:
        with pytest.raises((Refused, httpx.TransportError)):
            sidecar.apply(op)
    assert sidecar.outcomes(op) == [answer or "applied"]
    assert server.control("stats")["faulted"] >= 1


def test_a_paused_deployment_refuses_functions(server: ConvexServer, sidecar: Sidecar) -> None:
    """As Convex does it: status 200, an error without data."""
    server.control("paused", {"paused": True})
    assert refused(lambda: sidecar.apply(put())) == (200, None)
    server.control("paused", {"paused": False})
    assert sidecar.outcomes(put()) == ["applied"]


def test_bad_requests_are_answered_as_convex_does(server: ConvexServer, caller: Caller) -> None:
    """Arguments are checked with its messages, bodies with its codes."""
    with pytest.raises(Refused, match="missing the required field `journalId`"):
        caller.mutation("sidecar:register", sidecarId="a")
    with pytest.raises(Refused, match="Could not find public function"):
        caller.query("sidecar:registerInternal")
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        answers = {
            "not json": http.post("/api/query", content="{", headers={"content-type": "application/json"}),
            "no type": http.post("/api/query", content="{}"),
            "no path": http.post("/api/query", json={"args": {}}),
        }
        key = http.post(
            "/api/query", json={"path": "sidecar:ping", "args": {}}, headers={"authorization": "Convex no"}
        )
    assert {answer.status_code for answer in answers.values()} == {400}
    assert {answer.json()["code"] for answer in answers.values()} == {"BadJsonBody"}
    assert (key.status_code, key.json()["code"]) == (401, "BadAdminKey")


def test_production_redacts_errors_but_not_our_codes() -> None:
    """A ConvexError's data survives; every other text is gone."""
    with ConvexServer(dev_auth=True, redact=True) as redacted, Caller(redacted.url) as caller:
        with pytest.raises(Refused) as info:
            caller.mutation("sidecar:register", sidecarId="a")
        assert info.value.message.endswith("Server Error")
        sidecar = Sidecar(caller, sidecar_id="a", session_id="p/s")
        assert refused(lambda: sidecar.apply(put(), epoch=9)) == (200, "UNREGISTERED")


def test_a_scoped_deploy_key_reaches_only_what_it_may() -> None:
    """Internal mutations by right, internal queries not."""
    scope = ["--scoped-key", "prod:x|w=RunInternalMutations"]
    with ConvexServer(arguments=scope) as server, Caller(server.url, "Convex prod:x|w") as caller:
        assert caller.mutation("sidecar:registerInternal", sidecarId="a", journalId="j")["epoch"] == 1
        assert refused(lambda: caller.query("sidecar:pingInternal")) == (200, None)


@pytest.fixture
def conflicts(server: ConvexServer) -> Iterator[None]:
    """Give mutations a time between their reads and their commit."""
    server.control("options", {"execMs": 20, "occBackoffMs": 5, "occRetries": 50})
    yield
    server.control("options", {"execMs": 0, "occBackoffMs": 100, "occRetries": 4})


@pytest.mark.usefixtures("conflicts")
@pytest.mark.parametrize("shared", [False, True], ids=["scenes of their own", "one scene"])
def test_sidecars_conflict_only_where_they_share_a_scene(
    server: ConvexServer, caller: Caller, *, shared: bool
) -> None:
    """No document is written or read by all. Whether four calls meet is chance: they try some times."""
    sidecars = [Sidecar(caller, sidecar_id=f"c{i}", session_id="p/s") for i in range(4)]
    sidecars[0].apply(put())
    before = server.control("stats")["conflicts"]
    met = set[str]()
    for attempt in range(50 if shared else 5):
        ops = [put(f"{attempt}-{i}.mp4", entityId="shared" if shared else f"scene-{i}") for i in range(4)]
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(lambda pair: pair[0].outcomes(pair[1]), zip(sidecars, ops, strict=True)))
        assert outcomes == [["applied"]] * 4
        after = server.control("stats")["conflicts"]
        met |= {table for table, count in after.items() if count > before.get(table, 0)}
        if met:
            break
    assert bool(met) is shared


def test_thousands_of_mutations_do_not_slow_it_down(server: ConvexServer, caller: Caller) -> None:
    """An indexed read costs its matches, not the tables."""
    sidecar = Sidecar(caller, sidecar_id="a", session_id="p/s")

    def cpu_seconds(first: int) -> float:
        before = _cpu_seconds(server)
        for base in range(first, first + 500, 100):
            sidecar.apply(*(put(f"{base + i}.mp4", entityId=f"scene-{(base + i) % 97}") for i in range(100)))
        return _cpu_seconds(server) - before

    cpu_seconds(0)  # the first ones warm the compiler up, too
    early = cpu_seconds(500)
    sidecar.acked_seq = 10**9
    cpu_seconds(1000)
    late = cpu_seconds(1500)
    assert len(server.table("renderSidecar/assets")) == 2000
    assert late < 3 * early


def _cpu_seconds(server: ConvexServer) -> float:
    """CPU time rather than the clock: other tests may share the machine."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_it_starts_on_an_event_loop_too() -> None:
    """As `sidecar dev` does it."""
    async with ConvexServer(dev_auth=True) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            answer = await http.post("/api/query", json={"path": "sidecar:ping", "args": {}})
        assert answer.json()["value"] == {"contractVersion": 1}
    assert server.pid is None


def test_functions_that_do_not_compile_are_a_clear_error(tmp_path: Path) -> None:
    """The message ends with the compiler's."""
    (tmp_path / "broken.ts").write_text("export const x = ;")
    with pytest.raises(ServerError, match=r"broken\.ts"):
        ConvexServer(functions_dir=tmp_path).start()


def test_a_port_that_is_taken_is_a_clear_error(server: ConvexServer) -> None:
    """The second server says so."""
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ServerError, match="EADDRINUSE"):
        ConvexServer(port=port).start()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Even a SIGKILL of the parent leaves no server."""
    program = (
        "import time; from sidecar.local.convex_server import ConvexServer\n"
        "server = ConvexServer(); server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while _is_alive(pid):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_read_only_installation_can_be_served(tmp_path: Path) -> None:
    """Its modes are not carried into the folder that the server works in."""
    functions = tmp_path / "functions"
    shutil.copytree(FUNCTIONS, functions)
    for path in [functions, *functions.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assemble(tmp_path / "work", tmp_path, functions_dir=functions, dev_auth=True)
    copies = [path for path in (tmp_path / "work").rglob("*") if not path.is_symlink()]
    assert all(path.stat().st_mode & stat.S_IWUSR for path in copies)


def test_the_package_folder_is_not_written() -> None:
    """Site-packages may be read-only: modules and bundles live elsewhere."""
    with ConvexServer():
        pass
    package = FUNCTIONS.parent.parent
    assert list(package.rglob("node_modules")) == []
    assert not (package / "local/convex/bundle").exists()
