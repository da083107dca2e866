/** What sidecars are promised, and what they may not do. */
import { describe, expect, test } from "vitest";
import { api } from "./_generated/api";
import { own } from "./own";
import { backend, deploy, deployWithIntro, facts, FIRST_PAGE, INTRO, pass, put, refusal, remove } from "./test.setup";
import { MINUTE, SESSION, Sidecar, type Test, viewer } from "./test.setup";

const scene = async (t: Test, of = INTRO) => await viewer(t).query(api.sidecar.scenes.get, of);
const session = async (t: Test) => await viewer(t).query(api.sidecar.sessions.get, { sessionId: SESSION });

describe("a journal", () => {
  test("keeps its epoch, and hears what it sent last", async () => {
    const sidecar = await Sidecar.start(await deployWithIntro());
    const op = put();
    await sidecar.apply([op]);
    expect(await sidecar.register("journal-1")).toEqual({ epoch: 1, lastSeq: op.seq, contractVersion: 3 });
  });

  test("is fenced by the next one", async () => {
    const sidecar = await Sidecar.start(await deployWithIntro());
    expect((await sidecar.register("journal-2")).epoch).toBe(2);
    expect(await refusal(sidecar.apply([put()]))).toBe("FENCED");
    expect(await refusal(sidecar.register("journal-1"))).toBe("FENCED");
  });

  test("must be registered before it writes", async () => {
    const sidecar = await Sidecar.start(await deployWithIntro());
    sidecar.epoch = 2;
    expect(await refusal(sidecar.apply([put()]))).toBe("UNREGISTERED");
  });
});

describe("an op", () => {
  test("is applied once, however often it is sent", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    const op = put();
    const [first] = await sidecar.apply([op]);
    expect(first).toMatchObject({ opId: op.opId, outcome: "applied", version: 1 });
    expect(await sidecar.apply([op, op])).toEqual([1, 2].map(() => ({ ...first, outcome: "duplicate" })));
    expect(await session(t)).toMatchObject({ assetCount: 1, totalAssetSize: 1000 });
  });

  test("has an id of its own", async () => {
    const sidecar = await Sidecar.start(await deployWithIntro());
    const op = put();
    expect(await sidecar.outcomes([op, { ...put("b.mp4"), opId: op.opId }])).toEqual(["applied", "OP_ID_REUSED"]);
  });

  test("that comes late is stale", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    const [early, late] = [put("a.mp4", { content: "A" }), put("a.mp4", { content: "B" })];
    expect(await sidecar.outcomes([late, early])).toEqual(["applied", "stale"]);
    expect((await scene(t))?.videoAsset?.checksum).toBe("crc64nvme:B");
  });

  test("that nobody understands disturbs no other", async () => {
    const sidecar = await Sidecar.start(await deployWithIntro());
    const bad = [put("a.mp4", { assetType: "hologram" }), put("a.mp4", { size: -1 }), put("")];
    expect(await sidecar.outcomes([...bad, put()])).toEqual(["UNKNOWN_TYPE", "INVALID", "INVALID", "applied"]);
  });

  test("comes with at most 99 others", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    const many = Array.from({ length: 101 }, (_, n) => put(`${n}.mp4`));
    expect(await refusal(sidecar.apply(many))).toBe("BATCH_TOO_LARGE");
    expect(new Set(await sidecar.outcomes(many.slice(1)))).toEqual(new Set(["applied"]));
    expect((await session(t))?.assetCount).toBe(100);
  });
});

test("content that is new makes a version, and the history keeps each", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  const results = await sidecar.apply(["A", "A", "B", "A"].map((content) => put("a.mp4", { content })));
  expect(results.map(({ outcome, version }) => [outcome, version])).toEqual([
    ["applied", 1],
    ["unchanged", 1],
    ["applied", 2],
    ["applied", 3],
  ]);
  const history = await viewer(t).query(api.sidecar.scenes.sceneHistory, { ...INTRO, paginationOpts: FIRST_PAGE });
  expect(history.page.map(({ version, checksum }) => [version, checksum])).toEqual([
    [3, "crc64nvme:A"],
    [2, "crc64nvme:B"],
    [1, "crc64nvme:A"],
  ]);
  expect(await scene(t)).toMatchObject({ assetVersion: 3, previousAssetVersions: [{ version: 1 }, { version: 2 }] });
});

test("an asset that is removed is shown nowhere", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  expect(await sidecar.outcomes([put(), facts(), remove(), remove("b.mp4")])).toEqual([
    ...["applied", "applied", "applied", "unchanged"],
  ]);
  const shown = await scene(t);
  expect([shown?.assetsStatus, shown?.videoAsset]).toEqual(["pending", undefined]);
});

test("a scene is ready once all is told and nothing is owed", async () => {
  const t = await deployWithIntro();
  const [one, other] = [await Sidecar.start(t), await Sidecar.start(t, { sidecarId: "renderer-2" })];
  const status = async () => (await scene(t))?.assetsStatus;
  expect(await status()).toBe("pending");
  await one.apply([facts()]);
  expect(await status()).toBe("pending"); // without a video there is nothing to be played
  await one.apply([put(), facts({ complete: false, owed: 1 })]);
  expect(await status()).toBe("uploading");
  await other.apply([facts()]);
  expect(await status()).toBe("uploading"); // the first one still owes
  await one.apply([facts({ error: "The disk is full." })]);
  expect(await scene(t)).toMatchObject({ assetsStatus: "error", assetsErrorMessage: "The disk is full." });
  await one.apply([facts()]);
  expect(await status()).toBe("ready");
});

test("totals are the sum of what is there", async () => {
  const t = await deployWithIntro();
  const [one, other] = [await Sidecar.start(t), await Sidecar.start(t, { sidecarId: "renderer-2" })];
  await one.apply([put("a.mp4", { size: 10 }), put("b.mp4", { size: 20 }), facts()]);
  await other.apply([put("a.mp4", { content: "B", size: 100 })]);
  await other.apply([put("c.mp4", { entityId: "outro", size: 1000 }), facts({ sceneId: "outro", owed: 1 })]);
  const totals = { totalAssetSize: 1120, assetCount: 3, sceneCount: 2, readyCount: 1, assetsStatus: "uploading" };
  expect(await session(t)).toMatchObject(totals);
  await one.apply([remove("b.mp4")]);
  await t.mutation(own.lessons.destroy, { ...INTRO, sceneId: "outro" });
  const left = { totalAssetSize: 100, assetCount: 1, sceneCount: 1, readyCount: 1, assetsStatus: "ready" };
  expect(await session(t)).toMatchObject(left);
  await pass(t, 15 * MINUTE); // the counters of those that are gone are folded
  expect(await session(t)).toMatchObject(left);
});

describe("nobody", () => {
  test("writes as another", async () => {
    const t = await deployWithIntro();
    const call = { sidecarId: "renderer-1", journalId: "journal-1" };
    const as = (issuer: string, subject: string) => t.withIdentity({ issuer, subject });
    expect(await refusal(t.mutation(api.sidecar.register, call))).toBe("UNAUTHENTICATED");
    expect(await refusal(viewer(t).mutation(api.sidecar.register, call))).toBe("FORBIDDEN");
    expect(await refusal(as("https://alpha.test", "thief").mutation(api.sidecar.register, call))).toBe("FORBIDDEN");
  });

  test("begins or writes a session of another project", async () => {
    const t = await deployWithIntro();
    const beta = { issuer: "https://beta.test", projectId: "beta" };
    const ops = () => [put("a.mp4", { s3Key: "beta/a.mp4" }), facts()];
    const [thief, late] = [
      await Sidecar.start(t, { ...beta, sessionId: "alpha/unborn" }),
      await Sidecar.start(t, { ...beta, sessionId: SESSION }),
    ];
    expect(await thief.outcomes(ops())).toEqual(["FOREIGN_SESSION", "FOREIGN_SESSION"]);
    expect(await late.outcomes(ops())).toEqual(["SESSION_OF_OTHER_PROJECT", "SESSION_OF_OTHER_PROJECT"]);
    const posing = await Sidecar.start(t, { issuer: "https://beta.test", projectId: "alpha" });
    expect(await refusal(posing.apply(ops()))).toBe("FORBIDDEN");
  });

  test("names an object of another project", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    const keys = ["beta/a.mp4", "alphabet/a.mp4", "alpha/../beta/a.mp4"].map((s3Key) => put("a.mp4", { s3Key }));
    const elsewhere = put("a.mp4");
    elsewhere.asset.bucket = "beta-media";
    expect(new Set(await sidecar.outcomes([...keys, elsewhere]))).toEqual(new Set(["FOREIGN_OBJECT"]));
    expect((await scene(t))?.videoAsset).toBeUndefined();
  });

  test("but a backend lists and removes what others wrote", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    await sidecar.apply([put()]);
    const list = { projectId: "alpha", cursor: null };
    expect(await refusal(sidecar.as.query(api.sidecar.listByProject, list))).toBe("FORBIDDEN");
    const { assets } = await backend(t).query(api.sidecar.listByProject, list);
    expect(assets.map(({ name, version }) => [name, version])).toEqual([["a.mp4", 1]]);
    const slot = { sessionId: SESSION, entityType: "scene", entityId: "intro", assetType: "video_chunk", name: "a.mp4" } as const;
    const removed = async (expectedVersion: number) =>
      (await backend(t).mutation(api.sidecar.removeAssets, { projectId: "alpha", removals: [{ slot, expectedVersion }] }))[0];
    expect(await removed(7)).toMatchObject({ outcome: "changed", version: 1 });
    expect(await removed(1)).toMatchObject({ outcome: "removed" });
    expect((await scene(t))?.videoAsset).toBeUndefined();
  });
});

describe("what the application has deleted", () => {
  test("stays so until it makes the scene again", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    await sidecar.apply([put(), facts()]);
    await t.mutation(own.lessons.destroy, INTRO);
    const again = { ...INTRO, projectId: "alpha", ownerId: "ada" };
    expect(await refusal(t.mutation(own.lessons.create, again))).toBe("INVALID"); // its rows are still going
    await pass(t, 0);
    expect(await scene(t)).toBeNull();
    const late = [put("a.mp4", { content: "B" }), facts()];
    expect(await sidecar.outcomes(late)).toEqual(["SCENE_DELETED", "SCENE_DELETED"]);
    expect(await sidecar.outcomes([put("a.mp4", { entityId: "outro" })])).toEqual(["applied"]);
    await t.mutation(own.lessons.create, again);
    expect(await scene(t)).toMatchObject({ assetsStatus: "pending" });
    expect(await sidecar.outcomes(late)).toEqual(["applied", "applied"]);
    expect((await scene(t))?.assetsStatus).toBe("ready");
  });

  test("is a whole session, too", async () => {
    const t = await deployWithIntro();
    const sidecar = await Sidecar.start(t);
    await sidecar.apply([put(), put("b.mp4", { entityId: "outro" })]);
    await t.mutation(own.lessons.destroyAll, { sessionId: SESSION });
    expect(await session(t)).toBeNull();
    await pass(t, 0);
    expect(await sidecar.outcomes([put()])).toEqual(["SESSION_DELETED"]);
    expect(await scene(t)).toBeNull();
  });
});

test("a sidecar may wait for what the application makes", async () => {
  const t = deploy();
  const sidecar = await Sidecar.start(t);
  const ops = [put(), put("b.mp4", { entityId: "outro" })];
  const wait = { onUnknownEntity: "wait" } as const;
  expect(await sidecar.outcomes(ops, wait)).toEqual(["UNKNOWN_SESSION", "UNKNOWN_SESSION"]);
  await t.mutation(own.lessons.create, { ...INTRO, projectId: "alpha", ownerId: "ada" });
  expect(await sidecar.outcomes(ops, wait)).toEqual(["applied", "UNKNOWN_SCENE"]);
  await t.mutation(own.lessons.create, { ...INTRO, sceneId: "outro", projectId: "alpha", ownerId: "ada" });
  expect(await sidecar.outcomes(ops, wait)).toEqual(["duplicate", "applied"]);
});
