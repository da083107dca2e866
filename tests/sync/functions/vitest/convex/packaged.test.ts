/** The rules as they are installed: until the application says otherwise nobody reads, and one issuer writes. */
import type { FunctionReference } from "convex/server";
import { makeFunctionReference } from "convex/server";
import { expect, onTestFinished, test, vi } from "vitest";
import { ALPHA, deployWithIntro, facts, FIRST_PAGE, INTRO, modules, put, refusal, SESSION, Sidecar, viewer } from "./test.setup";

const NO_CALLBACKS = { onSceneChange: undefined, onSessionChange: undefined };
vi.mock("./sidecarAccess", async () => ({ ...NO_CALLBACKS, ...(await import("./packagedAccess")) }));

const PAGE = { paginationOpts: FIRST_PAGE };
const NO_PAGE = { page: [], isDone: true, continueCursor: "" };
const NO_CHUNKS = { chunks: [], contiguous: 0, expected: null, isComplete: false };
/** Every public query for front ends: its arguments, and the answer that says nothing. */
const QUERIES: Record<string, [Record<string, unknown>, unknown]> = {
  "sidecar/assets:byEntity": [{ sessionId: SESSION, entityType: "scene", entityId: "intro", ...PAGE }, NO_PAGE],
  "sidecar/assets:chunks": [INTRO, NO_CHUNKS],
  "sidecar/scenes:bySession": [{ sessionId: SESSION, ...PAGE }, NO_PAGE],
  "sidecar/scenes:get": [INTRO, null],
  "sidecar/scenes:sceneHistory": [{ ...INTRO, ...PAGE }, NO_PAGE],
  "sidecar/sessions:get": [{ sessionId: SESSION }, null],
  "sidecar/sessions:sessionsByProject": [{ projectId: "alpha", ...PAGE }, { page: [] }],
};

function writersOf(issuer: string): void {
  vi.stubEnv("SIDECAR_JWT_ISSUER", issuer);
  onTestFinished(() => void vi.unstubAllEnvs());
}

type Registered = { isQuery?: boolean; isPublic?: boolean };
const query = (path: string): FunctionReference<"query"> => makeFunctionReference<"query">(path);

test("the table of queries is whole", async () => {
  const found: string[] = [];
  for (const file of ["assets", "scenes", "sessions"]) {
    const module = (await modules[`./sidecar/${file}.ts`]?.()) as Record<string, Registered>;
    const names = Object.keys(module).filter((name) => module[name]?.isQuery && module[name].isPublic);
    found.push(...names.map((name) => `sidecar/${file}:${name}`));
  }
  expect(found.sort()).toEqual(Object.keys(QUERIES));
});

test.each(Object.entries(QUERIES))("%s tells nobody anything", async (path, [args, nothing]) => {
  writersOf(ALPHA);
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  expect(await sidecar.outcomes([put(), facts()])).toEqual(["applied", "applied"]);
  for (const as of [t, viewer(t), sidecar.as]) {
    const answer: unknown = await as.query(query(path), args);
    if (nothing === null) expect(answer).toBeNull();
    else expect(answer).toMatchObject(nothing as object);
  }
});

test("only the issuer of the deployment's environment writes", async () => {
  writersOf("https://other.test");
  const t = await deployWithIntro();
  expect(await refusal(Sidecar.start(t))).toBe("FORBIDDEN");
  expect(await refusal(Sidecar.start(t, { issuer: "https://other.test" }))).toBeNull();
});
