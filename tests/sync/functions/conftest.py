"""One local Convex server for all tests of the functions; each test has sidecars and sessions of its own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Sidecar, Signer, auth_config

WRITERS = Signer("https://renderers.test")
NARROW_WRITERS = Signer("https://lab.test")  # may write project "lab" alone
STRANGERS = Signer("https://elsewhere.test")  # a provider of the application, not a writer
ACCESS = """
import type { QueryCtx } from "./_generated/server";
import type { ReadableSession } from "./sidecar/rules";
export async function canReadSession(ctx: QueryCtx, session: ReadableSession): Promise<boolean> {
  const identity = await ctx.auth.getUserIdentity();
  return identity !== null && session.projectId !== "secret";
}
const WRITERS: Record<string, string[] | "all"> = {
  "https://renderers.test": "all",
  "https://lab.test": ["lab"],
};
export const projectsOf = (issuer: string) => WRITERS[issuer] ?? [];
"""

# What an application does before its first render: it makes the session and says whose it is.
APPLICATION = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { deleteScene, ensureScene, ensureSession } from "./sidecar/application";
export const create = internalMutation({
  args: { sessionId: v.string(), projectId: v.string(), ownerId: v.string() },
  handler: async (ctx, session) => {
    await ensureSession(ctx, session);
    await ensureScene(ctx, { ...session, sceneId: "intro" });
  },
});
export const destroy = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  handler: async (ctx, scene) => await deleteScene(ctx, scene),
});
"""

# In the component: what no application can do.
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const multiply = internalMutation({
  args: { sessionId: v.string(), name: v.string(), count: v.number() },
  handler: async (ctx, { sessionId, name, count }) => {
    const rows = await ctx.db.query("assets").collect();
    const found = rows.find((one) => one.sessionId === sessionId && one.name === name)!;
    const { _id, _creationTime, ...row } = found;
    for (let n = 0; n < count; n += 1) await ctx.db.insert("assets", { ...row, name: `${n}-${name}` });
  },
});
export const bury = internalMutation({
  args: { producer: v.string(), goneSince: v.number() },
  handler: async (ctx, { producer, goneSince }) => {
    for (const row of await ctx.db.query("sidecarHeartbeats").collect()) {
      if (row.producer === producer) await ctx.db.patch(row._id, { goneSince });
    }
  },
});
export const miscount = internalMutation({
  args: { sessionId: v.string() },
  handler: async (ctx, { sessionId }) => {
    for (const row of await ctx.db.query("entityTotals").collect()) {
      if (row.sessionId !== sessionId || row.entityId !== "scene-3") continue;
      await ctx.db.patch(row._id, { bytes: 1, count: 7 });
    }
    for (const row of await ctx.db.query("sidecarCounters").collect()) {
      if (row.sessionId === sessionId) await ctx.db.patch(row._id, { bytes: row.bytes + 5, scenes: 0 });
    }
  },
});
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """The packaged functions with an access rule of this suite."""
    functions = tmp_path_factory.mktemp("functions") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    (functions / "sidecarAccess.ts").write_text(ACCESS)
    (functions / "application.ts").write_text(APPLICATION)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    (functions / "auth.config.ts").write_text(auth_config(WRITERS, NARROW_WRITERS, STRANGERS))
    with ConvexServer(functions_dir=Path(functions)) as running:
        yield running


_sidecars = itertools.count(1)
_sessions = itertools.count(1)
Connect = Callable[..., Sidecar]


@pytest.fixture
def callers(server: ConvexServer) -> Iterator[Callable[[str | None], Caller]]:
    """Make clients by their Authorization header; closed at the end."""
    with ExitStack() as stack:
        yield lambda authorization: stack.enter_context(Caller(server.url, authorization))


@pytest.fixture
def session_id() -> str:
    """A session that nobody has used."""
    return f"p/lesson-{next(_sessions)}"


@pytest.fixture
def connect(callers: Callable[[str | None], Caller], session_id: str) -> Connect:
    """Make registered sidecars, by default in the test's session and project ``p``."""

    def one(sidecar_id: str | None = None, *, signer: Signer = WRITERS, **where: str) -> Sidecar:
        name = sidecar_id or f"sidecar-{next(_sidecars)}"
        caller = callers(f"Bearer {signer.token(name)}")
        return Sidecar(caller, sidecar_id=name, **{"session_id": session_id, **where})

    return one


@pytest.fixture
def sidecar(connect: Connect) -> Sidecar:
    """One registered sidecar."""
    return connect()


@pytest.fixture
def player(callers: Callable[[str | None], Caller]) -> Caller:
    """A reader whom the suite's access rule admits."""
    return callers(f"Bearer {STRANGERS.token('viewer')}")
