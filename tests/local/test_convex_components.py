"""The local Convex server keeps components apart, and together where Convex does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from convex import ConvexClient

from sidecar.local.child import ServerError
from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Signer, auth_config

FOLDER = Path(__file__).parent / "components"
VIEWER = Signer("https://viewers.test")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """An application with two instances of one component, which has a component of its own."""
    with ConvexServer(functions_dir=copied(tmp_path_factory.mktemp("project"))) as running:
        yield running


def copied(folder: Path, **changes: tuple[str, str]) -> Path:
    """Return a copy of the project; ``changes`` replace a text in its convex.config.ts."""
    for source in FOLDER.rglob("*.ts"):
        target = folder / source.relative_to(FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text()
        for before, after in changes.values() if source.parent == FOLDER else ():
            text = text.replace(before, after)
        target.write_text(text)
    (folder / "auth.config.ts").write_text(auth_config(VIEWER))
    return folder


@pytest.fixture
def caller(server: ConvexServer) -> Iterator[Caller]:
    """A signed-in user; the tables are empty."""
    server.control("reset", {})
    with Caller(server.url, f"Bearer {VIEWER.token('ann')}") as one:
        yield one


def rows(server: ConvexServer, component: str = "tally") -> dict[str, float]:
    """Return the counts of a component by their names."""
    return {row["name"]: row["count"] for row in server.table(f"{component}/rows")}


def test_each_instance_of_a_component_has_tables_of_its_own(server: ConvexServer, caller: Caller) -> None:
    """Under the application's names too."""
    caller.mutation("app:increment", name="a")
    caller.mutation("app:increment", name="a")
    caller.mutation("app:incrementSecond", name="a")
    caller.mutation("app:nested", name="deep")
    assert (rows(server), rows(server, "second")) == ({"a": 2}, {"a": 1})
    assert [row["name"] for row in server.table("tally/inner/rows")] == ["deep"]
    assert server.table("rows") == server.table("second/inner/rows") == []


def test_a_mutation_reads_what_it_wrote_in_a_component(caller: Caller) -> None:
    """Before it commits."""
    assert [caller.mutation("app:countTwice", name="a") for _ in range(2)] == [1, 2]


def test_a_component_rolls_back_with_the_application(server: ConvexServer, caller: Caller) -> None:
    """Its rows and what it scheduled."""
    with pytest.raises(Refused, match="the application fails"):
        caller.mutation("app:incrementThenFail", name="a")
    assert server.control("settle", {}) == {"ran": 0}
    assert rows(server) == {}


def test_a_component_that_fails_leaves_the_application_its_own(server: ConvexServer, caller: Caller) -> None:
    """Who catches the error goes on without the component's rows and jobs."""
    assert caller.mutation("app:survive", name="a") == "on purpose"
    assert server.control("settle", {}) == {"ran": 0}
    assert ([row["name"] for row in server.table("rows")], rows(server)) == (["a"], {})


def test_a_failed_call_wakes_nobody(server: ConvexServer, caller: Caller) -> None:
    """What was rolled back was never written; what the application wrote was."""
    states = iter(ConvexClient(server.url).subscribe("app:count", {"name": "a"}))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, states).result(timeout=30) == 0
        before = server.control("stats")
        caller.mutation("app:survive", name="a")
        with pytest.raises(Refused):
            caller.mutation("app:incrementThenFail", name="a")
        assert server.control("stats")["commits"] == before["commits"] + 1
        caller.mutation("app:increment", name="a")
        assert pool.submit(next, states).result(timeout=30) == 1
    assert server.control("stats")["calls"]["app:count"] == before["calls"]["app:count"] + 1


def test_a_component_runs_its_own_jobs(server: ConvexServer, caller: Caller) -> None:
    """A name that a component schedules is one of its functions, also an internal one."""
    caller.mutation("app:incrementLater", name="a")
    server.control("settle", {})
    assert rows(server) == {"a": 1}
    assert server.control("stats")["calls"]["tally/lib:late"] == 1


def test_the_application_schedules_a_components_function_and_cancels(
    server: ConvexServer, caller: Caller
) -> None:
    """Two are scheduled, one is cancelled by its id."""
    caller.mutation("app:scheduleAndCancel", name="a")
    server.control("settle", {})
    assert rows(server) == {"a": 1}


def test_a_job_waits_for_longer_than_a_timer_can(server: ConvexServer, caller: Caller) -> None:
    """It would run at once, and again and again: Node's timers end at 24 days."""
    caller.mutation("app:incrementInAMonth", name="a")
    caller.mutation("app:incrementLater", name="b")
    server.control("settle", {})
    assert rows(server) == {"b": 1}
    assert [row["state"]["kind"] for row in server.table("_scheduled_functions")] == ["pending"]


def test_a_component_tells_the_application_by_a_handle(server: ConvexServer, caller: Caller) -> None:
    """From its job, in one transaction with it, as nobody."""
    caller.mutation("app:incrementAndTell", name="a")
    server.control("settle", {})
    assert [(row["name"], row["identity"]) for row in server.table("told")] == [("a", None)]
    assert rows(server) == {"a": 2}


def test_an_application_that_throws_rolls_the_components_job_back(
    server: ConvexServer, caller: Caller
) -> None:
    """Not the mutation that scheduled it."""
    caller.mutation("app:incrementAndTell", name="bad")
    server.control("settle", {})
    assert (server.table("told"), rows(server)) == ([], {"bad": 1})


def test_a_query_is_run_again_for_a_components_rows(server: ConvexServer, caller: Caller) -> None:
    """Not for those of another instance, nor for another key."""
    client = ConvexClient(server.url)
    states = iter(client.subscribe("app:count", {"name": "a"}))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, states).result(timeout=30) == 0
        runs = server.control("stats")["calls"]["app:count"]
        caller.mutation("app:incrementSecond", name="a")
        caller.mutation("app:increment", name="b")
        caller.mutation("app:increment", name="a")
        assert pool.submit(next, states).result(timeout=30) == 1
        caller.mutation("app:incrementLater", name="a")
        assert pool.submit(next, states).result(timeout=30) == 2
    assert server.control("stats")["calls"]["app:count"] == runs + 2


@pytest.mark.usefixtures("caller")
def test_what_an_action_writes_through_a_component_is_seen(server: ConvexServer) -> None:
    """Each mutation of an action commits on its own, wakes and schedules; one that fails does neither."""
    client = ConvexClient(server.url)
    states = iter(client.subscribe("app:count", {"name": "a"}))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, states).result(timeout=30) == 0
        assert client.action("app:act", {"name": "a"}) == 1
        assert pool.submit(next, states).result(timeout=30) == 1
    server.control("settle", {})
    assert rows(server) == {"a": 1, "a-later": 1}


def test_writers_of_one_row_of_a_component_conflict(server: ConvexServer, caller: Caller) -> None:
    """Instances do not: the table is named with its component."""
    server.control("options", {"execMs": 50, "occBackoffMs": 5, "occRetries": 50})
    try:
        names = ["app:increment", "app:incrementSecond"] * 3
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda path: caller.mutation(path, name="a"), names))
    finally:
        server.control("options", {"execMs": 0, "occBackoffMs": 100, "occRetries": 4})
    assert (rows(server), rows(server, "second")) == ({"a": 3}, {"a": 3})
    assert set(server.control("stats")["conflicts"]) <= {"tally/rows", "second/rows"}
    assert server.control("stats")["conflicts"] != {}


def test_identity_and_environment_stop_at_the_boundary(caller: Caller) -> None:
    """A component sees nobody, and of the environment what it declares and is given."""
    seen = caller.query("app:whatIsSeen")
    assert seen["identity"] == "ann"
    for inside, colour in ((seen["inside"], "red"), (seen["second"], "blue")):
        assert inside["identity"] is None
        assert (inside["colour"], inside["colourAtImport"]) == (colour, colour)
        assert (inside["secret"], inside["undeclared"], inside["names"]) == (None, None, ["COLOUR"])


def test_a_component_cannot_paginate(caller: Caller) -> None:
    """Convex's own words."""
    with pytest.raises(Refused, match=r"PaginationUnsupportedInComponents: paginate\(\) is only supported"):
        caller.query("app:page")


def test_an_id_means_nothing_in_another_component(caller: Caller) -> None:
    """It is a string there: no document has it, and no validator takes it."""
    crossed = caller.mutation("app:cross", own=False)
    assert crossed == {"inside": None, "outside": None, "second": None, "home": "of the component"}
    with pytest.raises(Refused, match="does not match validator"):
        caller.mutation("app:cross", own=True)


def test_nobody_reaches_into_a_component(server: ConvexServer, caller: Caller) -> None:
    """The application calls its public functions, the owner of the deployment all of them."""
    with pytest.raises(Refused, match="does not export lib:late"):
        caller.mutation("app:internal", name="a")
    for path in ("lib:increment", "tally/lib:increment"):
        with pytest.raises(Refused):
            caller.mutation(path, name="a")
    body: dict[str, Any] = {"path": "lib:late", "args": {"name": "a"}, "componentPath": "tally"}
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.post("/api/function", json=body).status_code == 403
        key = {"Authorization": f"Convex {server.admin_key}"}
        assert http.post("/api/function", json=body, headers=key).json()["status"] == "success"
    assert rows(server) == {"a": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('COLOUR: "red", ', ""), "environment variable COLOUR is required"),
        (('COLOUR: "red"', 'COLOUR: "red", SHAPE: "round"'), "declares no environment variable SHAPE"),
        (("app.env.TALLY_SECRET", "app.env.OTHER"), "not declared on this app"),
    ],
)
def test_an_environment_that_convex_refuses_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    """When the functions are pushed, not when they run."""
    with pytest.raises(ServerError, match=message):
        ConvexServer(functions_dir=copied(tmp_path, change=change)).start()


def test_other_functions_are_deployed_over_the_same_documents(server: ConvexServer, tmp_path: Path) -> None:
    """Subscriptions are run again, jobs find what has their name now, a component may go and come back."""
    first, second, bare = (copied(tmp_path / name) for name in ("first", "second", "bare"))
    lib = second / "tally/lib.ts"
    lib.write_text(lib.read_text().replace("row?.count ?? 0", "(row?.count ?? 0) + 100"))
    (bare / "convex.config.ts").unlink()
    server.control("reset", {})
    with Caller(server.url) as caller:
        caller.mutation("app:increment", name="a")
        states = iter(ConvexClient(server.url).subscribe("app:count", {"name": "a"}))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(next, states).result(timeout=30) == 1
            server.deploy(second)
            assert pool.submit(next, states).result(timeout=30) == 101
        server.deploy(bare)
        with pytest.raises(Refused, match="Child component tally not found"):
            caller.mutation("app:increment", name="a")
        server.deploy(first)  # as it was
        assert caller.mutation("app:countTwice", name="a") == 2


def test_a_schema_that_the_documents_do_not_fit_is_not_deployed(server: ConvexServer, tmp_path: Path) -> None:
    """All stays as it was."""
    narrow = copied(tmp_path)
    schema = narrow / "tally/schema.ts"
    schema.write_text(schema.read_text().replace("name: v.string()", 'name: v.literal("b")'))
    server.control("reset", {})
    with Caller(server.url) as caller:
        caller.mutation("app:increment", name="a")
        with pytest.raises(ServerError, match='in table "rows" does not match the schema'):
            server.deploy(narrow)
        assert caller.mutation("app:countTwice", name="a") == 2


def test_a_job_that_was_cancelled_says_so(server: ConvexServer, caller: Caller) -> None:
    """Its row is the application's; the one that ran succeeded."""
    caller.mutation("app:scheduleAndCancel", name="a")
    server.control("settle", {})
    found = [(row["name"], row["state"]["kind"]) for row in server.table("_scheduled_functions")]
    assert found == [("lib.js:increment", "success"), ("lib.js:increment", "canceled")]


def test_a_job_that_throws_has_failed_and_left_nothing(server: ConvexServer, caller: Caller) -> None:
    """The row is in the component that scheduled it."""
    caller.mutation("app:incrementAndTell", name="bad")
    server.control("settle", {})
    assert [row["state"]["kind"] for row in server.table("tally/_scheduled_functions")] == ["failed"]
