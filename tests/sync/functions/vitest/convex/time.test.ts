/** What happens by itself: sidecars that fall silent, and an application that is told. Nobody waits for it: the clock is a fake. */
import { expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import { own } from "./own";
import { backend, deployWithIntro, facts, INTRO, MINUTE, pass, passMonth, put, Sidecar, START, type Test, viewer } from "./test.setup";

const scene = async (t: Test) => await viewer(t).query(api.sidecar.scenes.get, INTRO);
const owing = () => [put(), facts({ complete: false, owed: 1 })];

test("a scene shows since when it waits for a sidecar that is gone, and goes on with it", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  await sidecar.apply(owing());
  await pass(t, 14 * MINUTE);
  expect((await scene(t))?.stalledSince).toBeUndefined();
  await pass(t, 1 * MINUTE);
  expect(await scene(t)).toMatchObject({ assetsStatus: "uploading", stalledSince: START });
  await sidecar.heartbeat();
  await pass(t, 0);
  expect((await scene(t))?.stalledSince).toBeUndefined();
  await sidecar.apply([facts()]);
  expect((await scene(t))?.assetsStatus).toBe("ready");
});

test("a sidecar that has nothing to tell is alive by its heartbeats", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  await sidecar.apply(owing());
  for (let minutes = 0; minutes < 60; minutes += 10) {
    await pass(t, 10 * MINUTE);
    await sidecar.heartbeat();
  }
  expect((await scene(t))?.stalledSince).toBeUndefined();
  await pass(t, 16 * MINUTE);
  expect((await scene(t))?.stalledSince).toBe(START + 60 * MINUTE);
});

test("a sidecar that is gone holds up no scene that another one completes", async () => {
  const t = await deployWithIntro();
  const [gone, other] = [await Sidecar.start(t), await Sidecar.start(t, { sidecarId: "renderer-2" })];
  await gone.apply(owing());
  await pass(t, 10 * MINUTE);
  await other.apply([put("a.mp4", { content: "B" }), facts()]);
  expect((await scene(t))?.assetsStatus).toBe("uploading");
  await pass(t, 5 * MINUTE);
  expect(await scene(t)).toMatchObject({ assetsStatus: "ready", videoAsset: { checksum: "crc64nvme:B" } });
});

test("of a sidecar that never comes back nothing is kept but what it made", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  await sidecar.apply([put(), facts()]);
  expect((await sidecar.register("journal-2")).epoch).toBe(2);
  await pass(t, 15 * MINUTE);
  await passMonth(t);
  sidecar.epoch = (await sidecar.register("journal-3")).epoch;
  expect(sidecar.epoch).toBe(1);
  expect((await scene(t))?.assetsStatus).toBe("ready");
  expect(await sidecar.apply([put()])).toMatchObject([{ outcome: "unchanged", version: 1 }]);
});

test("the application follows a scene from its first asset to its end", async () => {
  const t = await deployWithIntro();
  const sidecar = await Sidecar.start(t);
  const lessons = async () => await t.query(own.lessons.all, {});
  await sidecar.apply(owing());
  await pass(t, 0);
  expect(await lessons()).toMatchObject([{ sceneId: "intro", assetsStatus: "uploading", assetVersion: 1 }]);
  await pass(t, 15 * MINUTE); // nobody writes: time alone changes the scene
  expect(await lessons()).toMatchObject([{ assetsStatus: "uploading", stalledSince: START }]);
  await sidecar.apply([put("a.mp4", { content: "B" }), facts()]);
  await pass(t, 0);
  expect(await lessons()).toMatchObject([
    { assetsStatus: "ready", assetVersion: 2, videoAsset: { checksum: "crc64nvme:B" } },
  ]);
  await t.mutation(own.lessons.destroy, INTRO);
  await pass(t, 0);
  expect(await lessons()).toEqual([]);
});

test("a callback that fails is shown and tried again, and keeps no sidecar from its work", async () => {
  const t = await deployWithIntro();
  const errors = vi.spyOn(console, "error").mockReturnValue();
  const sidecar = await Sidecar.start(t);
  const failures = async () => await backend(t).query(api.sidecar.failedCallbacks, {});
  await t.mutation(own.lessons.setBroken, { message: "no such lesson" });
  expect(await sidecar.outcomes(owing())).toEqual(["applied", "applied"]);
  await pass(t, 0);
  expect(await failures()).toMatchObject([{ entityId: "intro", attempts: 0, error: expect.stringContaining("no such lesson") as string }]);
  expect(await sidecar.outcomes([facts()])).toEqual(["applied"]);
  await pass(t, 10_000);
  expect(await failures()).toMatchObject([{ attempts: 1, failedAt: START + 10_000 }]);
  expect(errors).toHaveBeenCalledTimes(2);
  expect(await t.query(own.lessons.all, {})).toEqual([]); // what it wrote before it threw is undone
  await t.mutation(own.lessons.setBroken, { message: null });
  await pass(t, 10_000);
  expect(await t.query(own.lessons.all, {})).toEqual([]); // the second pause is twice as long
  await pass(t, 10_000);
  expect(await failures()).toEqual([]);
  expect(await t.query(own.lessons.all, {})).toMatchObject([{ assetsStatus: "ready" }]);
});
