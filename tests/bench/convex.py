"""What the functions cost on the local server: ``python -m tests.bench.convex``. Not part of the test run.

``assets``: calls, documents read and written of 1,000 assets in one session, in calls of 100 and one by one.
``contention``: 32 sidecars in one session whose mutations take 150 ms, without callbacks and with both.
``scenes``: the totals of a session of 40,000 scenes. Documents are counted as functions see them: what their
queries returned, and each write.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put

SIDECARS, EXEC_MS, ROUNDS = 32, 150, 10
APPLY = "sidecar:applyAssets"
# An application that follows both documents, in tables of its own.
FOLLOWING = """
import { internalMutation } from "./_generated/server";
import { sceneChangeArgs, sessionChangeArgs } from "./sidecar/fields";
export const scene = internalMutation({
  args: sceneChangeArgs,
  handler: async (ctx, { sessionId, sceneId }) => {
    const db: any = ctx.db;
    await db.insert("followed", { of: `${sessionId} ${sceneId}` });
  },
});
export const session = internalMutation({
  args: sessionChangeArgs,
  handler: async (ctx, { sessionId }) => {
    const db: any = ctx.db;
    await db.insert("followed", { of: sessionId });
  },
});
"""
SCHEMA = """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ followed: defineTable({ of: v.string() }) });
"""
RULES = """
import { internal } from "./_generated/api";
export const onSceneChange: any = (internal as any).following.scene;
export const onSessionChange: any = (internal as any).following.session;
export const canReadSession = () => true;
export const projectsOf = () => "all" as const;
"""


@contextmanager
def server(*, callbacks: bool = False, arguments: tuple[str, ...] = ()) -> Iterator[ConvexServer]:
    """Serve the packaged functions, perhaps with an application that follows."""
    with tempfile.TemporaryDirectory() as folder:
        functions = Path(folder) / "convex"
        shutil.copytree(FUNCTIONS, functions)
        if callbacks:
            (functions / "following.ts").write_text(FOLLOWING)
            (functions / "schema.ts").write_text(SCHEMA)
            (functions / "sidecarAccess.ts").write_text(RULES)
        with ConvexServer(functions_dir=functions, dev_auth=True, arguments=arguments) as running:
            yield running


def assets() -> Iterator[str]:
    """Yield a row for each way to tell 1,000 assets."""
    for ops_per_call, scenes in ((100, 100), (100, 1), (1, 100)):
        with server() as running, Caller(running.url) as caller:
            sidecar = Sidecar(caller, sidecar_id="s", session_id="p/assets")
            ops = [put(f"{n}.mp4", entityId=f"scene-{n % scenes}") for n in range(1000)]
            for first in range(0, len(ops), ops_per_call):
                sidecar.apply(*ops[first : first + ops_per_call])
            stats = running.control("stats")
            calls = stats["calls"][APPLY]
            yield (
                f"1,000 assets, {scenes} scenes, {ops_per_call} a call: {calls} calls,"
                f" {stats['read'][APPLY] / calls:.1f} documents read and"
                f" {stats['written'][APPLY] / calls:.1f} written a call"
            )
            before = running.control("stats")["read"].get("sessions:get", 0)
            caller.query("sessions:get", sessionId="p/assets")
            read = running.control("stats")["read"]["sessions:get"] - before
            yield f"  sessions:get reads {read}"


def contention(*, callbacks: bool) -> Iterator[str]:
    """Yield conflicts by table of sidecars that write one session at once."""
    permits = ("--mutation-permits", str(4 * SIDECARS))
    with server(callbacks=callbacks, arguments=permits) as running, ExitStack() as stack:
        callers = [stack.enter_context(Caller(running.url)) for _ in range(SIDECARS)]
        sidecars = [
            Sidecar(caller, sidecar_id=f"busy-{n}", session_id="p/busy") for n, caller in enumerate(callers)
        ]
        for sidecar in sidecars:
            sidecar.apply(put("0.mp4", entityId=sidecar.sidecar_id))
        running.control("settle", {})
        running.control("options", {"execMs": EXEC_MS})
        before = running.control("stats")

        def work(sidecar: Sidecar) -> None:
            for number in range(ROUNDS):
                ops = [put(f"{number}-{n}.mp4", entityId=sidecar.sidecar_id) for n in range(3)]
                outcomes = sidecar.outcomes(*ops, facts(sidecar.sidecar_id))
                assert outcomes == ["applied"] * 4, outcomes

        seconds = timed(lambda: list(parallel(work, sidecars)))
        after = running.control("stats")
        calls = after["calls"][APPLY] - before["calls"][APPLY]
        met = {
            table: number - before["conflicts"].get(table, 0)
            for table, number in after["conflicts"].items()
            if number > before["conflicts"].get(table, 0)
        }
        session = callers[0].query("sessions:get", sessionId="p/busy")
        told = len(running.table("followed")) if callbacks else 0
        yield (
            f"{SIDECARS} sidecars, {EXEC_MS} ms, {'both callbacks' if callbacks else 'no callback'}:"
            f" {calls} calls in {seconds:.1f} s, conflicts {met or 0}, 503 {after['exhausted']},"
            f" totals {session['assetCount']:.0f} assets of {SIDECARS * (1 + 3 * ROUNDS)}, told {told} times"
        )


def scenes(number: int) -> Iterator[str]:
    """Yield what totals and pages cost in a session of very many scenes, and whether they are exact."""
    with server() as running, Caller(running.url) as caller:
        sidecar = Sidecar(caller, sidecar_id="s", session_id="p/many")
        began = time.monotonic()
        for first in range(0, number, 50):
            names = [f"scene-{n}" for n in range(first, min(first + 50, number))]
            sidecar.apply(*[put(entityId=name) for name in names], *[facts(name) for name in names])
        filled = time.monotonic() - began
        stats = running.control("stats")
        session = caller.query("sessions:get", sessionId="p/many")
        read = running.control("stats")["read"]
        yield (
            f"{number} scenes in {stats['calls'][APPLY]} calls, {filled:.0f} s,"
            f" {stats['read'][APPLY] / stats['calls'][APPLY]:.1f} read and"
            f" {stats['written'][APPLY] / stats['calls'][APPLY]:.1f} written a call of 100 ops:"
            f" sceneCount {session['sceneCount']:.0f}, readyCount {session['readyCount']:.0f},"
            f" {session['totalAssetSize']:.0f} bytes, {session['assetsStatus']};"
            f" sessions:get reads {read['sessions:get']} documents"
        )


def parallel(work: Callable[[Sidecar], None], sidecars: list[Sidecar]) -> Iterator[None]:
    """Let each sidecar work in a thread of its own."""
    with ThreadPoolExecutor(len(sidecars)) as pool:
        yield from pool.map(work, sidecars)


def timed(work: Callable[[], Any]) -> float:
    """Return how long it took, in seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    """Measure what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help="assets, contention, scenes")
    parser.add_argument("--scenes", type=int, default=40_000)
    given = parser.parse_args()
    rows = {
        "assets": assets(),
        "contention": chain(contention(callbacks=False), contention(callbacks=True)),
        "scenes": scenes(given.scenes),
    }
    for name in given.what or rows:
        for line in rows[name]:
            print(line, flush=True)  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
