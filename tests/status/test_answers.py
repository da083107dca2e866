"""What the endpoint says about the state of things."""

from __future__ import annotations

from sidecar.core.breaker import BreakerState
from sidecar.core.errors import ErrorKind
from sidecar.core.model import State
from sidecar.core.removal import RemovalState
from sidecar.gate import LastError

from .conftest import Get, Served
from .fake import (
    NOW_MS,
    FakeCandidate,
    FakeExample,
    FakeFinding,
    FakeRemote,
    FakeRoot,
    FakeUpload,
    removal,
    transfer,
)

VIDEO = "p/s/intro/video/1.mp4"


async def test_health_fails_only_on_a_wedge(served: Served) -> None:
    """Outages and missing roots are no reason to restart; a loop that stands still is."""
    served.source.remotes["s3"] = FakeRemote(state=BreakerState.OPEN, reason="S3 is unreachable")
    served.source.waiting_for = ["the first scan is not done"]
    assert (await served.get("/healthz")).status_code == 200
    served.source.beats["journal"] = 31.0
    reply = await served.get("/healthz")
    assert (reply.status_code, reply.json()["status"]) == (503, "wedged")


async def test_ready_waits_for_the_first_scan(served: Served) -> None:
    """It says what it waits for."""
    served.source.waiting_for = ["the first scan is not done"]
    reply = await served.get("/readyz")
    assert (reply.status_code, reply.json()) == (
        503,
        {"ready": False, "waiting_for": ["the first scan is not done"]},
    )
    served.source.waiting_for = []
    assert (await served.get("/readyz")).status_code == 200


async def test_status_of_a_quiet_sidecar_is_ok(get: Get) -> None:
    """Every state is there, also at 0."""
    status = await get("/status")
    assert (status["state"], status["reasons"]) == ("ok", [])
    assert status["transfers"] == dict.fromkeys(map(str, State), 0)
    assert status["backlog"] == {"files": 0, "bytes": 0, "oldest_seconds": 0.0}
    assert status["s3"] == {"breaker": "closed", "last_error": None}
    checksum = {"setting": "auto", "put": "crc64nvme", "multipart": "crc64nvme", "found": True}
    assert status["checksum"] == checksum
    assert status["watch"][0]["readiness"] == "lease"
    assert status["watch"][0]["last_scan_at"].endswith("Z")


async def test_status_says_degraded_and_why(served: Served, get: Get) -> None:
    """Remotes, roots, whatever else troubles it, as sentences; a dead letter stops nothing else."""
    source = served.source
    source.remotes["s3"] = FakeRemote(
        state=BreakerState.OPEN,
        reason="S3 is unreachable since 12:00:00 UTC: refused",
        last_error=LastError(kind=ErrorKind.NETWORK, message="refused", hint="is it running?", at_ms=NOW_MS),
    )
    source.watch.watched[0].problem = "the folder does not exist"
    source.other_troubles = ["Convex has not registered this journal yet"]
    source.journal.rows = [transfer(1, "p/s/a.mp4", State.DEAD), transfer(2, VIDEO, State.READY)]
    status = await get("/status")
    assert status["state"] == "degraded"
    assert status["reasons"] == [
        "S3 is unreachable since 12:00:00 UTC: refused",
        "/renders: the folder does not exist",
        "Convex has not registered this journal yet",
    ]
    assert status["attention"] == ["1 dead letter: `sidecar dead-letters list` names them"]
    assert status["s3"]["breaker"] == "open"
    assert status["s3"]["last_error"]["hint"] == "is it running?"
    assert status["backlog"] == {"files": 1, "bytes": 1024**2, "oldest_seconds": 1.5}


async def test_status_names_uploads_candidates_and_what_is_not_sent(served: Served, get: Get) -> None:
    """With reasons, and with names that are not UTF-8 made readable."""
    source = served.source
    source.is_draining = True
    source.in_flight = [FakeUpload("01T", f"/renders/{VIDEO}", 100, 40)]
    source.watch.candidates = [FakeCandidate("p/s/intro/video/2.mp4", "open for writing")]
    source.watch.watched = [
        FakeRoot(examples=[FakeExample("bad\udcff.mp4", "unmatched", "its name is not UTF-8")])
    ]
    status = await get("/status")
    assert status["state"] == "draining"
    assert status["uploads"][0] == {"transfer": "01T", "path": f"/renders/{VIDEO}", "size": 100, "sent": 40}
    assert status["pending"]["files"] == 1
    assert status["pending"]["examples"][0]["why"] == "open for writing"
    assert status["watch"][0]["examples"] == [
        {"path": "/renders/bad\\xff.mp4", "finding": "unmatched", "why": "its name is not UTF-8"}
    ]


async def test_metrics_mirror_the_same_state(served: Served) -> None:
    """Gauges are filled for the scrape."""
    served.source.remotes["convex"] = FakeRemote(state=BreakerState.HALF_OPEN)
    served.source.journal.rows = [transfer(1, VIDEO, State.UPLOADED)]
    text = (await served.get("/metrics")).text
    assert "sidecar_backlog_files 1.0" in text
    assert 'sidecar_breaker_state{remote="convex"} 1.0' in text
    assert 'sidecar_last_scan_age_seconds{root="/renders"} 2.0' in text
    assert "sidecar_disk_free_bytes{" in text


async def test_assets_are_filtered_and_paged(served: Served, get: Get) -> None:
    """`next` leads through all pages and ends with null."""
    served.source.journal.rows = [transfer(n, f"p/s/intro/video/{n}.mp4", State.SYNCED) for n in range(1, 6)]
    served.source.journal.rows.append(transfer(6, VIDEO, State.READY))
    page = await get("/assets?session_id=p/s&state=synced&limit=2")
    seen = [asset["id"] for asset in page["assets"]]
    while page["next"] is not None:
        page = await get(f"/assets?session_id=p/s&state=synced&limit=2&after={page['next']}")
        seen += [asset["id"] for asset in page["assets"]]
    assert seen == [1, 2, 3, 4, 5]
    assert page["assets"][0]["version"] == 3
    assert (await get("/assets?session_id=other"))["assets"] == []


async def test_dead_letters_keep_their_error_and_get_a_hint(served: Served, get: Get) -> None:
    """What failed, and what to do."""
    dead = transfer(1, VIDEO, State.DEAD, error_kind="quota", error_message="bucket is full", failures=3)
    served.source.journal.rows = [dead, transfer(2, VIDEO, State.READY)]
    [letter] = (await get("/dead-letters"))["assets"]
    assert letter["error"]["message"] == "bucket is full"
    assert "make room" in letter["error"]["hint"]
    assert letter["failures"] == 3


async def test_explain_tells_a_synced_file_from_its_history(served: Served, get: Get) -> None:
    """By an absolute path and by one below the root."""
    served.source.watch.findings[VIDEO] = FakeFinding("matched", "a regular file", rule="rule 1")
    served.source.journal.rows = [transfer(1, VIDEO, State.SUPERSEDED), transfer(2, VIDEO, State.SYNCED)]
    served.source.journal.events[2] = [(1_760_000_000_000, "uploaded", None)]
    for path in (f"/renders/{VIDEO}", VIDEO, f"/renders/p/../{VIDEO}"):
        reply = await get(f"/explain?path={path}")
        assert reply["verdict"] == "Synced: S3 holds it and Convex knows it as version 3."
        assert reply["state"] == "synced"
        assert reply["asset"]["id"] == 2
        assert [asset["id"] for asset in reply["older"]] == [1]
        assert reply["history"][0]["event"] == "uploaded"
        assert "It matches rule 1." in reply["steps"]


async def test_explain_knows_paths_that_never_became_a_transfer(served: Served, get: Get) -> None:
    """Unmatched, refused, waiting, missing, outside."""
    findings = served.source.watch.findings
    findings["notes.txt"] = FakeFinding("unmatched", "no rule matches it")
    findings["link.mp4"] = FakeFinding("refused", "it is a symbolic link")
    findings["open.mp4"] = FakeFinding("waiting", "a process writes it")
    findings["p"] = FakeFinding("folder", "a folder")
    verdicts = {
        "notes.txt": "Not sent (unmatched): no rule matches it",
        "link.mp4": "Not sent (refused): it is a symbolic link",
        "open.mp4": "Waiting to be complete: a process writes it",
        "none.mp4": "There is no such file, and the journal never saw one.",
        "p": "A folder; 0 files below it not synced.",
        "/etc/passwd": "Not watched: it lies below none of the roots.",
        "/renders2/x": "Not watched: it lies below none of the roots.",
    }
    for path, verdict in verdicts.items():
        assert (await get(f"/explain?path={path}"))["verdict"] == verdict


async def test_what_is_gone_is_a_question_until_somebody_answers(served: Served, get: Get) -> None:
    """In the state, in the list, in the metrics and where one path is explained."""
    journal = served.source.journal
    journal.rows = [transfer(n, f"p/s/intro/video/{n}.mp4", State.SYNCED) for n in (1, 2, 3)]
    states = (RemovalState.ASKED, RemovalState.OWED, RemovalState.REFUSED)
    journal.gone = [removal(row, state, "no") for row, state in zip(journal.rows, states, strict=True)]
    status = await get("/status")
    assert (status["state"], status["removals"]) == ("degraded", {"asked": 1, "owed": 1, "refused": 1})
    question, refusal = status["reasons"]
    assert question.startswith("1 file of /renders is gone at once")
    assert "`sidecar removal confirm`" in question
    assert refusal == "Convex refuses 1 removal: `sidecar removal list` names them"
    page = await get("/removals?limit=2")
    assert [(one["path"], one["state"]) for one in page["removals"]] == [
        ("/renders/p/s/intro/video/1.mp4", "asked"),
        ("/renders/p/s/intro/video/2.mp4", "owed"),
    ]
    assert (await get(f"/removals?after={page['next']}"))["removals"][0]["error"] == "no"
    assert 'sidecar_removals{state="asked"} 1.0' in (await served.get("/metrics")).text
    assert [one["removal"] for one in (await get("/assets"))["assets"]] == ["asked", "owed", "refused"]
    verdicts = ["too many others at once", "Convex is still to be told", "goes on showing it: no"]
    for row, words in zip(journal.rows, verdicts, strict=True):
        assert words in (await get(f"/explain?path={row.path}"))["verdict"]


async def test_a_removed_file_says_so(served: Served, get: Get) -> None:
    """Unlike one that was deleted before it could be read."""
    served.source.journal.rows = [transfer(1, VIDEO, State.GONE, synced_ms=1), transfer(2, "b", State.GONE)]
    assert [one["removal"] for one in (await get("/assets"))["assets"]] == ["removed", None]
    assert (await get(f"/explain?path={VIDEO}"))["verdict"].startswith("Removed:")
    assert (await get("/explain?path=b"))["verdict"] == "Deleted before it could be read."


async def test_explain_takes_bytes_that_are_not_utf8(served: Served, get: Get) -> None:
    """Percent-encoded; the journal is not asked, since it holds no such names."""
    served.source.watch.findings["a\udcff b.mp4"] = FakeFinding("unmatched", "its name is not UTF-8")
    reply = await get("/explain?path=/renders/a%FF%20b.mp4")
    assert reply["path"] == "/renders/a\\xff b.mp4"
    assert reply["finding"] == "unmatched"


async def test_explain_says_why_nothing_moves(served: Served, get: Get) -> None:
    """A file that waits for a remote in trouble says so, one under way its progress, a dead one its error."""
    findings, journal = served.source.watch.findings, served.source.journal
    findings[VIDEO] = FakeFinding("matched", "a regular file")
    served.source.remotes["s3"].reason = "S3 is unreachable since 12:00:00 UTC: refused"
    journal.rows = [transfer(1, VIDEO, State.READY)]
    assert "waiting for its upload. S3 is unreachable" in (await get(f"/explain?path={VIDEO}"))["verdict"]
    served.source.in_flight = [FakeUpload(journal.rows[0].transfer_id, VIDEO, 4 * 1024**2, 1024**2)]
    assert "uploading, 25% of 4.0 MiB" in (await get(f"/explain?path={VIDEO}"))["verdict"]
    journal.rows = [transfer(1, VIDEO, State.DEAD, error_kind="invalid", error_message="no", failures=3)]
    reply = await get(f"/explain?path={VIDEO}")
    assert reply["verdict"] == "A dead letter, given up after 3 attempts: invalid: no"
    served.source.watch.findings[VIDEO] = FakeFinding("missing", "there is nothing at this path")
    verdict = (await get(f"/explain?path={VIDEO}"))["verdict"]
    assert verdict.endswith("invalid: no. Its file is not there any more.")
    assert any("requeue" in step for step in reply["steps"])


async def test_what_waits_for_the_application_says_for_what(served: Served, get: Get) -> None:
    """`/explain` of the file, `/status` of all of them."""
    why = 'the application has not made scene "intro" yet (ensureScene)'
    served.source.journal.rows = [transfer(1, VIDEO, State.UPLOADED)]
    served.source.watch.findings[VIDEO] = FakeFinding("matched", "a regular file", rule="rule 1")
    assert (await get("/status"))["attention"] == []
    served.source.unmade["p/s", "intro"] = why
    waits = "In S3; Convex is told once it is there (convex.on_unknown_entity: wait): "
    assert (await get(f"/explain?path={VIDEO}"))["verdict"] == f"{waits}{why}."
    [sentence] = (await get("/status"))["attention"]
    assert (
        sentence
        == f"what names 1 session or scene waits in the outbox until your application makes it: {why}"
    )
