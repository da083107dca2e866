"""Who may ask what: hosts, origins, tokens, the socket, the public listener, limits."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import stat
from pathlib import Path

import httpx
import pytest

from sidecar.core.errors import FatalError
from sidecar.core.model import State
from sidecar.metrics import Metrics
from sidecar.settings import Secret
from sidecar.status import app, openapi, server
from sidecar.status.api import Api
from sidecar.status.guard import Need, door_of, objection
from sidecar.status.operating_models import RequeueRequest
from sidecar.status.operation import Operation
from sidecar.status.operations import OPERATIONS
from sidecar.status.server import serving
from tests.support.patience import DEADLINE_SECONDS

from .conftest import TOKEN, Served, free_port
from .fake import FakeSource, transfer

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:9745", "[::1]:9745", "127.9.9.9"])
async def test_loopback_names_are_answered(served: Served, host: str) -> None:
    """With any port: a forwarded one is another."""
    assert (await served.get("/status", Host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9745", "localhost.evil.example", "10.0.0.1", "", "[", "a@localhost.x"],
)
async def test_a_name_that_a_foreign_page_could_own_is_refused(served: Served, host: str) -> None:
    """DNS rebinding ends here, for every operation."""
    for operation in OPERATIONS:
        reply = await asyncio.to_thread(raw, served.port, operation.method, operation.path, f"Host: {host}")
        assert reply.startswith(b"HTTP/1.1 403"), (operation.path, reply)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "https://127.0.0.1"]
)
async def test_a_page_of_another_origin_is_refused(served: Served, origin: str) -> None:
    """Also a page that generated code serves on another port of this machine."""
    reply = await served.get("/status", Origin=origin)
    assert reply.status_code == 403
    assert "origin" in reply.json()["error"]
    own = await served.get("/status", Origin=served.url)
    assert own.status_code == 200


@pytest.mark.parametrize(
    "target", ["/rescan", "/dead-letters/requeue", "/removals/confirm", "/removals/dismiss", "/reconcile"]
)
async def test_tcp_changes_nothing_without_the_token(served: Served, target: str) -> None:
    """No token, a wrong one, another scheme, the token in the URL."""
    attempts: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
    ]
    for headers in attempts:
        reply = await served.post(target, {"all": True}, **headers)
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    source = served.source
    assert (source.requeues, source.decisions, source.watch.scans, source.reconciles) == ([], [], 0, [])


async def test_the_token_opens_tcp_and_is_read_again_when_it_changes(served: Served) -> None:
    """Rotation needs no restart."""
    assert (await served.post("/rescan", **BEARER)).status_code == 200
    served.token_file.write_text("another token")
    assert (await served.post("/rescan", **BEARER)).status_code == 401
    assert (await served.post("/rescan", Authorization="Bearer another token")).status_code == 200


async def test_a_token_that_cannot_be_read_opens_nothing(served: Served) -> None:
    """Neither an empty file nor a missing one is a password."""
    served.token_file.write_text("")
    assert (await served.post("/rescan", Authorization="Bearer")).status_code == 403
    served.token_file.unlink()
    assert (await served.post("/rescan", **BEARER)).status_code == 403


async def test_the_unix_socket_is_the_owners_alone_and_may_change(served: Served) -> None:
    """Mode 0600, no token needed."""
    assert stat.S_IMODE(served.socket_path.stat().st_mode) == 0o600
    assert (await served.post_unix("/rescan")).status_code == 200
    reply = await served.post_unix("/dead-letters/requeue", {"path": "/renders/a.mp4", "error_kind": "quota"})
    assert reply.json() == {"requeued": 1}
    assert served.source.requeues == [(None, "/renders/a.mp4", "quota")]


async def test_a_requeue_that_names_nothing_is_a_mistake(served: Served) -> None:
    """As are unknown filters and kinds: none of them may mean everything."""
    nothing: list[object] = [None, {}, [], "x"]
    wrong: list[object] = [{"kind": "quota"}, {"error_kind": "nope"}, {"path": "/etc/x"}, {"all": "perhaps"}]
    for body in nothing + wrong:
        assert (await served.post_unix("/dead-letters/requeue", body)).status_code == 400
    assert served.source.requeues == []
    assert (await served.post_unix("/dead-letters/requeue", {"all": True})).status_code == 200


async def test_reconciling_repairs_only_if_it_is_told_to(served: Served) -> None:
    """Socket and token open it; a body that says something else is a mistake, never a repair."""
    wrong: list[object] = [[], "x", {"aply": True}, {"apply": "perhaps"}, {"apply": None}]
    for body in wrong:
        assert (await served.post_unix("/reconcile", body)).status_code == 400
    assert served.source.reconciles == []
    assert (await served.post_unix("/reconcile", {})).json()["applied"] is False
    assert (await served.post("/reconcile", {"apply": True}, **BEARER)).json()["applied"] is True
    assert served.source.reconciles == [False, True]


async def test_a_decision_on_removals_names_what_it_is_about(served: Served) -> None:
    """A file, a folder, a root, or all; nothing else means everything."""
    wrong: list[object] = [
        None,
        {},
        {"path": ""},
        {"path": "/etc/x"},
        {"all": "perhaps"},
        {"root": "/renders"},
    ]
    for body in wrong:
        assert (await served.post_unix("/removals/confirm", body)).status_code == 400
    assert served.source.decisions == []
    for word, body in (("confirm", {"path": "/renders/p"}), ("confirm", {"path": "/renders"})):
        reply = await served.post_unix(f"/removals/{word}", body)
        assert reply.json() == {"decided": 2}
    assert (await served.post_unix("/removals/dismiss", {"all": True})).status_code == 200
    assert served.source.decisions == [(True, "/renders", "p"), (True, "/renders", ""), (False, None, "")]


async def test_the_public_listener_serves_three_routes_to_any_host(served: Served) -> None:
    """Kubelet and Prometheus come by the pod's address."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.public_port}") as client:
        for target in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(target, headers={"Host": "10.1.2.3:8080"})).status_code == 200
        for target in ("/status", "/assets", "/explain?path=a", "/openapi.json", "/wait", "/dead-letters"):
            assert (await client.get(target)).status_code == 404
        assert (await client.post("/rescan", headers=BEARER)).status_code == 404


def test_a_network_address_needs_the_token_to_read_too() -> None:
    """And with it answers to any name; without one at all nothing but the public three."""
    door, headers = door_of("10.1.2.3"), {"Host": "10.1.2.3:9745"}
    assert objection(door, Need(public=True), headers, None) is None
    assert objection(door, Need(), headers, None) is not None
    assert objection(door, Need(), headers, TOKEN) is not None
    assert objection(door, Need(), headers | BEARER, TOKEN) is None
    assert objection(door, Need(changes=True), {"Host": "sidecar.pod"} | BEARER, TOKEN) is None
    assert objection(door, Need(public=True), {"Host": "sidecar.pod"}, TOKEN) is not None


async def test_mistakes_are_json_with_a_hint(served: Served) -> None:
    """Unknown routes, methods, parameters, values."""
    mistakes = {
        "/": 404,
        "/nothing": 404,
        "/rescan": 405,
        "/assets?sesion_id=x": 400,
        "/assets?limit=0": 400,
        "/assets?limit=1001": 400,
        "/assets?limit=%C2%B2": 400,
        "/assets?after=99999999999999999999": 400,
        "/assets?state=uploading": 400,
        "/assets?session_id=%FF": 400,
        "/assets?limit=1&limit=2": 400,
        "/explain": 400,
        "/explain?path=": 400,
        "/explain?path=../../etc/passwd": 400,
        "/explain?path=a%00b": 400,
        "/wait?timeout=soon": 400,
        "/wait?timeout=-1": 400,
        "/wait?timeout=nan": 400,
        "/assets?" + "&".join(f"a{n}=1" for n in range(50)): 400,
    }
    for target, status in mistakes.items():
        reply = await served.get(target)
        assert (target, reply.status_code) == (target, status)
        assert reply.json()["error"]


async def test_a_huge_query_is_refused_and_a_long_path_is_not(served: Served) -> None:
    """4,096 bytes, all percent-encoded, are a path; 100 KiB are not."""
    assert (await served.get("/explain?path=" + "%FF" * 4096)).status_code == 200
    reply = await asyncio.to_thread(
        raw, served.port, "GET", "/explain?path=" + "a" * 100_000, "Host: localhost"
    )
    assert b" 400 " in reply.partition(b"\r\n")[0]
    assert (await served.get("/status")).status_code == 200


async def test_a_huge_body_is_refused(served: Served) -> None:
    """64 KiB are enough for a filter."""
    reply = await served.post_unix("/dead-letters/requeue", {"path": "a" * 200_000})
    assert reply.status_code == 413


async def test_a_client_that_says_nothing_loses_its_place(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection has so many seconds from accept to its last byte; one that waits has more."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await reader.read() == b""
    writer.close()
    served.source.journal.rows = [transfer(1, "p/s/intro/video/1.mp4", State.READY)]
    reply = await served.get("/wait?timeout=600ms")
    assert reply.json()["result"] == "timeout"


@pytest.mark.parametrize("by_socket", [False, True], ids=["tcp", "unix"])
async def test_a_client_that_keeps_its_connection_is_told_to_open_another(
    served: Served, by_socket: bool
) -> None:
    """Every answer says that it is the last one, good ones and refusals: none of 20 requests is lost."""
    path = served.socket_path if by_socket else None
    told = await asyncio.to_thread(kept, served.port, path)
    assert told == [(200, "close"), (404, "close"), (405, "close"), (400, "close")] * 5


async def test_a_pool_of_connections_loses_no_request(served: Served) -> None:
    """By both doors, several at a time: a client takes no connection that was closed behind its back."""
    for uds in (None, str(served.socket_path)):
        by = httpx.AsyncHTTPTransport(uds=uds)
        async with httpx.AsyncClient(transport=by, base_url=served.url) as client:
            for _ in range(5):
                replies = await asyncio.gather(*(client.get("/status") for _ in range(4)))
                assert {(one.status_code, one.headers["Connection"]) for one in replies} == {(200, "close")}


async def test_a_crowd_that_never_finishes_its_requests_gives_way(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half requests of generated code keep no health check out: the oldest of them is hung up on."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
    crowd = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
    for _, writer in crowd:
        writer.write(b"GET /status HTTP/1.1\r\nHost: 127")
    assert (await served.get("/status")).status_code == 200
    assert await crowd[0][0].read() == b""
    for _, writer in crowd:
        writer.close()


async def test_a_crowd_of_waiting_requests_is_left_in_peace(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are bounded by their own time; beyond them connections are closed at once."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
    served.source.journal.rows = [transfer(1, "p/s/intro/video/1.mp4", State.READY)]
    waits = [asyncio.create_task(served.get("/wait?timeout=2s")) for _ in range(3)]
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await hung_up(served):
                await asyncio.sleep(0.01)
    finally:
        replies = await asyncio.gather(*waits)
    assert {reply.status_code for reply in replies} == {504}


async def hung_up(served: Served) -> bool:
    """Tell whether a new connection finds no place."""
    try:
        await served.get("/healthz")
    except httpx.TransportError:
        return True
    return False


async def test_a_busy_port_says_so_and_to_try_later(served: Served, tmp_path: Path) -> None:
    """One sentence, exit status 75."""
    with pytest.raises(FatalError) as caught:
        await start(tmp_path, listen=f"127.0.0.1:{served.port}")
    assert caught.value.exit_status == 75
    assert f"127.0.0.1:{served.port} is in use" in str(caught.value)


async def test_an_address_that_is_not_ours_is_bad_configuration(tmp_path: Path) -> None:
    """Exit status 78."""
    for listen in ("192.0.2.1:9745", "no.such.host.invalid:9745"):
        with pytest.raises(FatalError) as caught:
            await start(tmp_path, listen=listen)
        assert caught.value.exit_status == 78


async def test_the_socket_of_a_killed_sidecar_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    """And a file that is no socket is never removed."""
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await start(tmp_path, socket_path=path)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(FatalError) as caught:
            await start(tmp_path, socket_path=path)
    assert caught.value.exit_status == 75
    path.unlink()
    path.write_text("precious")
    with pytest.raises(FatalError) as caught:
        await start(tmp_path, socket_path=path)
    assert (caught.value.exit_status, path.read_text()) == (78, "precious")


async def test_a_bug_is_answered_with_500_and_logged(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon goes on."""
    del served.source.remotes["s3"]
    served.source.remotes = None  # type: ignore[assignment]  # something that cannot be
    reply = await served.get("/status")
    assert (reply.status_code, "log" in reply.json()["hint"]) == (500, True)
    assert "request_failed" in capsys.readouterr().out


async def test_an_entry_of_the_table_is_all_that_an_operation_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler gets the body, its answer is in the reply's content type, and the document has it."""

    async def echo(_api: Api, asked: RequeueRequest) -> tuple[int, bytes]:
        return 202, str(asked.path).encode()

    entry: Operation[RequeueRequest] = Operation(
        name="echo",
        path="/echo",
        summary="Says what it was asked.",
        handler=echo,
        method="POST",
        body=RequeueRequest,
        reply="text/x-echo",
    )
    monkeypatch.setattr(app, "OPERATIONS", [entry])
    source = FakeSource(journal_path=tmp_path / "journal.db")
    serves = serving(source=source, metrics=Metrics(), listen="127.0.0.1:0")
    async with serves as port, httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/echo", json={"path": "a.mp4"})
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (202, "a.mp4", "text/x-echo")
    assert openapi.document([entry])["paths"]["/echo"]["post"]["operationId"] == "echo"


async def test_openapi_describes_every_operation(served: Served) -> None:
    """And says of each route which door it needs."""
    document = json.loads((await served.get("/openapi.json")).content)
    assert document["openapi"].startswith("3.1")
    told = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(operation.method.lower(), operation.path) for operation in OPERATIONS}
    assert document["paths"]["/rescan"]["post"]["security"]
    assert "security" not in document["paths"]["/status"]["get"]
    references = json.dumps(document).split("#/components/schemas/")[1:]
    names = {reference.partition('"')[0] for reference in references}
    assert names <= set(document["components"]["schemas"])


async def start(folder: Path, *, listen: str | None = None, socket_path: Path | None = None) -> None:
    """Start and stop an endpoint."""
    async with serving(
        source=FakeSource(journal_path=folder / "journal.db"),
        metrics=Metrics(),
        listen=listen or f"127.0.0.1:{free_port()}",
        socket_path=socket_path,
        token=Secret("t"),
    ):
        pass


def kept(port: int, path: Path | None) -> list[tuple[int, str | None]]:
    """Return status and Connection of 20 answers to one client of the standard library."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    if path is not None:
        client = UnixConnection(str(path), timeout=DEADLINE_SECONDS)
    told = []
    with contextlib.closing(client):
        for _ in range(5):
            for target in ("/status", "/nothing", "/rescan", "/assets?limit=0"):
                client.request("GET", target)
                answer = client.getresponse()
                answer.read()
                told.append((answer.status, answer.getheader("Connection")))
    return told


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, connected anew where the last answer closed it."""

    def connect(self) -> None:
        """Connect to the path that is given in the host's place."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def raw(port: int, method: str, target: str, *headers: str) -> bytes:
    """Return what a hand-made request gets."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        lines = [f"{method} {target} HTTP/1.1", *headers, "Content-Length: 0", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        return sock.recv(65536)
