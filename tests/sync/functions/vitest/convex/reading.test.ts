/** What players are told, and what they are not. */
import { expect, test } from "vitest";
import { api } from "./_generated/api";
import { own } from "./own";
import { deployWithIntro, facts, FIRST_PAGE, INTRO, put, refusal, SESSION, Sidecar, type Test, viewer } from "./test.setup";

const chunks = async (t: Test) => await viewer(t).query(api.sidecar.assets.chunks, INTRO);

test("chunks come in the order in which they are played", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  const chunk = (index: number) => put(`chunk-${index}.mp4`, { index });
  await sidecar.apply([chunk(10), chunk(2), chunk(1), facts({ complete: false, owed: 8, expected: 11 })]);
  expect(await chunks(t)).toMatchObject({ contiguous: 0, expected: 11, isComplete: false });
  await sidecar.apply([chunk(0)]);
  const begun = await chunks(t);
  expect(begun.chunks.map(({ index }) => index)).toEqual([0, 1, 2, 10]);
  expect(begun.contiguous).toBe(3);
  await sidecar.apply([9, 8, 7, 6, 5, 4, 3].map(chunk));
  expect(await chunks(t)).toMatchObject({ contiguous: 11, expected: 11, isComplete: false });
  await sidecar.apply([facts({ expected: 11 })]);
  expect(await chunks(t)).toMatchObject({ contiguous: 11, expected: 11, isComplete: true });
});

test("scenes come in natural order, page by page", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  await sidecar.apply(["scene-10", "scene-2", "scene-1"].map((entityId) => put("a.mp4", { entityId })));
  const names: string[] = [];
  for (let cursor: string | null = null, isDone = false; !isDone; ) {
    const found: { page: { sceneId: string }[]; isDone: boolean; continueCursor: string } = await viewer(t).query(
      api.sidecar.scenes.bySession,
      { sessionId: SESSION, paginationOpts: { numItems: 3, cursor } },
    );
    expect(found.page.length).toBeLessThanOrEqual(3);
    names.push(...found.page.map(({ sceneId }) => sceneId));
    ({ isDone, continueCursor: cursor } = found);
  }
  expect(names).toEqual(["intro", "scene-1", "scene-2", "scene-10"]);
});

test("only who may see a session is told of it", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  await sidecar.apply([put(), facts()]);
  const told = async (as: Pick<Test, "query">) => [
    await as.query(api.sidecar.sessions.get, { sessionId: SESSION }),
    await as.query(api.sidecar.scenes.get, INTRO),
    ...(await as.query(api.sidecar.assets.chunks, INTRO)).chunks,
    ...(await as.query(api.sidecar.scenes.bySession, { sessionId: SESSION, paginationOpts: FIRST_PAGE })).page,
    ...(await as.query(api.sidecar.sessions.sessionsByProject, { projectId: "alpha", paginationOpts: FIRST_PAGE })).page,
  ];
  expect((await told(viewer(t))).filter((one) => one !== null)).toHaveLength(5);
  for (const as of [t, viewer(t, "eve"), sidecar.as]) expect(await told(as)).toEqual([null, null]);
  await t.mutation(own.lessons.create, { ...INTRO, projectId: "alpha", ownerId: "eve" });
  expect(await viewer(t, "eve").query(api.sidecar.scenes.get, INTRO)).not.toBeNull();
});

test("addresses are signed for who may see the asset now", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  const results = await sidecar.apply([
    put("a.mp4", { s3Key: "alpha/a.mp4" }),
    put("a.py", { assetType: "source_code" }),
  ]);
  const ids = [...results.map(({ assetId }) => assetId ?? ""), "none"];
  const urls = async (subject: string) => await viewer(t, subject).action(api.sidecar.assets.accessUrls, { ids });
  const [video, ...others] = await urls("ada");
  expect(others).toEqual([null, null]); // source code is for no viewer
  expect(video?.url).toMatch(/^https:\/\/media\.s3\.eu-central-1\.amazonaws\.com\/alpha\/a\.mp4\?.*X-Amz-Signature=/);
  expect((video?.expiresAt ?? 0) - (video?.signedAt ?? 0)).toBe(900_000);
  expect(video?.url).not.toContain("SECRET");
  expect(await urls("eve")).toEqual([null, null, null]);
  expect(await t.action(api.sidecar.assets.accessUrls, { ids })).toEqual([null, null, null]);
  const many = Array.from({ length: 101 }, () => "none");
  expect(await refusal(viewer(t).action(api.sidecar.assets.accessUrls, { ids: many }))).toBe("BATCH_TOO_LARGE");
});
