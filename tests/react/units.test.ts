/** What of the React package is no React: addresses and their renewal, the order of play, the two elements. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressBook, type Clock } from "../react/addressBook";
import { ClipPlayer, type AddressedClip, type Video } from "../react/clipPlayer";
import type { AccessUrl } from "../react/functions";
import { extended, firstPage, nameOf, shown, split } from "../react/pages";
import { needed, nextClip, stateOf, withAddresses, type Facts, type Playing } from "../react/sequence";

class FakeClock implements Clock {
  time = 1_000_000;
  timers: { at: number; run: () => void }[] = [];
  now = () => this.time;
  after = (ms: number, run: () => void) => {
    const timer = { at: this.time + ms, run };
    this.timers.push(timer);
    return () => void this.timers.splice(this.timers.indexOf(timer), this.timers.includes(timer) ? 1 : 0);
  };
  async pass(ms: number) {
    const end = this.time + ms;
    for (let due; (due = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]); ) {
      this.timers.splice(this.timers.indexOf(due), 1);
      this.time = Math.max(this.time, due.at);
      due.run();
      await settled();
    }
    this.time = end;
  }
}
const settled = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

/** Signs for 100 s by a clock that is an hour ahead. */
class Signer {
  calls: string[][] = [];
  denied = new Set<string>();
  isDown = false;
  version = 1;
  constructor(readonly clock: FakeClock) {}
  sign = async (ids: string[]): Promise<(AccessUrl | null)[]> => {
    this.calls.push(ids);
    const version = this.version;
    await Promise.resolve();
    if (this.isDown) throw new Error("down");
    const signedAt = this.clock.time + 3_600_000;
    const url = (id: string) => `${id}#${this.calls.length}`;
    return ids.map((id) => (this.denied.has(id) ? null : { id, version, url: url(id), signedAt, expiresAt: signedAt + 100_000 }));
  };
}

const of = (id: string, version = 1) => ({ id, version });

async function opened(...ids: string[]) {
  const clock = new FakeClock();
  const signer = new Signer(clock);
  const book = new AddressBook(signer.sign, clock);
  book.want(ids.map((id) => of(id)));
  await settled();
  return { clock, signer, book, urls: () => Object.fromEntries(book.current().urls) };
}

test("an address is renewed at 80 % of its life, whatever the server's clock says", async () => {
  const { clock, signer, urls } = await opened("a");
  await clock.pass(79_999);
  assert.deepEqual(urls(), { a: "a#1" });
  assert.equal(signer.calls.length, 1);
  await clock.pass(1);
  assert.deepEqual(urls(), { a: "a#2" });
  await clock.pass(80_000);
  assert.equal(signer.calls.length, 3);
});

test("an asset that was rendered again has no address until it has its new one", async () => {
  const { signer, book, urls } = await opened("a");
  book.want([of("a", 2)]);
  assert.deepEqual(urls(), {});
  await settled();
  assert.deepEqual(urls(), { a: "a#2" });
  book.want([of("a", 2)]);
  await settled();
  assert.equal(signer.calls.length, 2);
});

test("an answer that was under way when its asset was replaced counts only if it is of the new version", async () => {
  const { signer, book, urls } = await opened("a");
  book.renew("a"); // answered for version 1
  book.want([of("a", 2)]);
  await settled();
  assert.deepEqual([urls(), signer.calls.length], [{ a: "a#3" }, 3]);
  signer.version = 3;
  book.renew("a");
  book.want([of("a", 3)]);
  await settled();
  assert.deepEqual([urls(), signer.calls.length], [{ a: "a#4" }, 4]);
});

test("only what is new is asked for, at most a hundred at once, and what is not wanted is forgotten", async () => {
  const { clock, signer, book, urls } = await opened("a");
  const many = Array.from({ length: 150 }, (_, i) => `m${i}`);
  book.want(["a", ...many].map((id) => of(id)));
  await settled();
  assert.deepEqual(signer.calls.map((ids) => ids.length), [1, 100, 50]);
  book.want([of("a")]);
  assert.deepEqual(urls(), { a: "a#1" });
  await clock.pass(80_000);
  assert.deepEqual(signer.calls.at(-1), ["a"]);
});

test("what is denied is null, and asked for again ever more slowly", async () => {
  const { clock, signer, book, urls } = await opened("a");
  signer.denied.add("a");
  await clock.pass(80_000);
  assert.deepEqual(urls(), { a: null });
  const before = signer.calls.length;
  await clock.pass(300_000);
  assert.ok(signer.calls.length - before >= 10 && signer.calls.length - before <= 16, `${signer.calls.length}`);
  signer.denied.clear();
  await clock.pass(30_000);
  assert.match(urls()["a"] ?? "", /^a#/);
  assert.equal(book.current().error, null);
});

test("an outage keeps what opens, says so, and drops what no longer opens", async () => {
  const { clock, signer, book, urls } = await opened("a");
  signer.isDown = true;
  await clock.pass(90_000);
  assert.deepEqual(urls(), { a: "a#1" });
  assert.match(String(book.current().error), /down/);
  await clock.pass(30_000);
  assert.deepEqual(urls(), {});
  assert.ok(signer.calls.length < 9, `${signer.calls.length} calls`);
  signer.isDown = false;
  await clock.pass(30_000);
  assert.deepEqual(Object.keys(urls()), ["a"]);
  assert.equal(book.current().error, null);
});

test("a page that wakes up renews at once, though its timers stood still", async () => {
  const { clock, book, signer, urls } = await opened("a");
  clock.timers = [];
  clock.time += 10_000_000;
  book.look();
  assert.deepEqual(urls(), {});
  await settled();
  assert.deepEqual(urls(), { a: "a#2" });
  assert.equal(signer.calls.length, 2);
});

test("listeners hear of changes alone, and nothing is asked after the end", async () => {
  const { clock, book, signer } = await opened("a");
  let told = 0;
  const stop = book.subscribe(() => told++);
  const before = book.current();
  book.look();
  assert.equal(book.current(), before);
  assert.equal(told, 0);
  book.renew("a");
  await settled();
  assert.equal(told, 1);
  stop();
  book.close();
  await clock.pass(1_000_000);
  assert.equal(signer.calls.length, 2);
});

test("a page shows what it had until it is answered up to its end, and is split where that is too much", () => {
  const answer = (page: string[], continueCursor: string, isDone = false) => ({ page, continueCursor, isDone });
  const first = firstPage<string>(2);
  const two = extended(first, { [nameOf(first[0]!)]: answer(["a", "b"], "b") }, 2);
  assert.deepEqual(two.map(({ options }) => options), [
    { cursor: null, numItems: 2, endCursor: "b" },
    { cursor: "b", numItems: 2 },
  ]);
  assert.deepEqual(shown(two, {}), { results: ["a", "b"], last: undefined });
  const short = { [nameOf(two[0]!)]: answer(["a", "aa"], "aa"), [nameOf(two[1]!)]: answer(["c"], "c", true) };
  assert.deepEqual(split(two, short)?.map(({ options }) => [options.cursor, options.endCursor]), [
    [null, "aa"],
    ["aa", "b"],
    ["b", undefined],
  ]);
  assert.equal(split(two, { ...short, [nameOf(two[0]!)]: answer(["a", "b"], "b") }), null);
});

const clip = (index: number | null, name = `${index}.mp4`, version = 1): AddressedClip => ({
  id: name,
  name,
  index,
  version,
  url: `http://s3.test/${name}?v=${version}`,
});

test("each clip is next once, in order, and what comes late in front is left out", () => {
  const [a, b, c] = [clip(0), clip(1), clip(2)];
  assert.equal(nextClip([a, b], null), a);
  assert.equal(nextClip([a, b], a), b);
  assert.equal(nextClip([a, b], b), null);
  assert.equal(nextClip([a, clip(0, "late.mp4"), b, c], b), c);
  assert.equal(nextClip([a, clip(0, "late.mp4")], a)?.name, "late.mp4");
  assert.equal(nextClip([clip(0, "0.mp4", 2), b], a), b);
  assert.equal(nextClip([b, clip(null, "z.mp4")], b)?.name, "z.mp4");
});

test("nothing is offered behind a clip that has no address yet", () => {
  const all = [clip(0), clip(1), clip(2)];
  const urls = new Map([["0.mp4", "x"], ["2.mp4", "y"]]);
  assert.deepEqual(withAddresses(all, null, urls).map(({ url }) => url), ["x"]);
  assert.deepEqual(withAddresses(all, all[1]!, urls).map(({ url }) => url), ["x", "y"]);
  assert.deepEqual(needed(all, all[1]!, 5).map(({ id }) => id), ["1.mp4", "2.mp4"]);
  assert.deepEqual(needed(all, null, 2).map(({ id }) => id), ["0.mp4", "1.mp4"]);
});

const IDLE: Playing = { current: null, last: null, isPaused: false, failed: null };
const facts = (over: Partial<Facts>): Facts => ({
  scene: { assetsStatus: "uploading" },
  wasSeen: true,
  chunks: { chunks: [], contiguous: 0, isComplete: false },
  next: null,
  urls: new Map(),
  hasAddressError: false,
  hasQueryError: false,
  playing: IDLE,
  ...over,
});

test("a player's state is told by what there is", () => {
  const [a, b] = [clip(0), clip(1)];
  const done = { chunks: [a], contiguous: 1, isComplete: true };
  const played: Playing = { ...IDLE, last: a };
  const states: [string, Partial<Facts>][] = [
    ["pending", { scene: undefined, wasSeen: false }],
    ["pending", { scene: null, wasSeen: false }],
    ["denied", { scene: null }],
    ["pending", { scene: { assetsStatus: "pending" } }],
    ["uploading", {}],
    ["uploading", { playing: played, chunks: { ...done, isComplete: false } }],
    ["stalled", { scene: { assetsStatus: "uploading", stalledSince: 1 } }],
    ["error", { scene: { assetsStatus: "error" } }],
    ["ended", { scene: { assetsStatus: "ready" }, playing: played, chunks: done }],
    ["error", { scene: { assetsStatus: "ready" }, playing: played, chunks: { ...done, chunks: [a, b] } }],
    ["pending", { next: a }],
    ["uploading", { next: b, playing: played }],
    ["denied", { next: a, urls: new Map([["0.mp4", null]]) }],
    ["error", { next: a, hasAddressError: true }],
    ["error", { scene: undefined, hasQueryError: true }],
    ["error", { playing: played, hasQueryError: true }],
    ["playing", { playing: { ...played, current: a }, hasQueryError: true }],
    ["playing", { playing: { ...played, current: a } }],
    ["playing", { playing: { ...played, current: a }, hasAddressError: true, scene: { assetsStatus: "error" } }],
    ["paused", { playing: { ...played, current: a, isPaused: true } }],
    ["error", { playing: { ...played, current: a, failed: a } }],
    ["denied", { playing: { ...played, current: a, failed: a }, urls: new Map([["0.mp4", null]]) }],
  ];
  for (const [state, over] of states) assert.equal(stateOf(facts(over)), state, JSON.stringify(over));
});

class FakeVideo extends EventTarget {
  src = "";
  readyState = 4;
  bufferedSeconds = 0;
  get buffered() {
    return { length: 1, end: () => this.bufferedSeconds };
  }
  currentTime = 0;
  paused = true;
  ended = false;
  wantsClick = false;
  load() {
    [this.paused, this.ended, this.currentTime] = [true, false, 0];
  }
  async play() {
    if (this.wantsClick) throw new DOMException("click first", "NotAllowedError");
    this.paused = false;
    await Promise.resolve();
  }
  pause() {
    this.paused = true;
    this.dispatchEvent(new Event("pause"));
  }
  removeAttribute() {
    this.src = "";
  }
  say(name: string) {
    if (name === "ended") [this.paused, this.ended] = [true, true];
    this.dispatchEvent(new Event(name));
  }
}

function player() {
  const videos = [new FakeVideo(), new FakeVideo()] as const;
  const begun: string[] = [];
  const refused: string[] = [];
  const seen = { isSeen: true };
  const clips = new ClipPlayer(videos as unknown as [Video, Video], {
    onChange: () => undefined,
    onStart: ({ name, version }) => begun.push(`${name} ${version}`),
    onRefused: ({ name }) => refused.push(name),
    isSeen: () => seen.isSeen,
  });
  return { videos, begun, refused, clips, seen, shown: () => videos[clips.front]! };
}

test("clips play once each in two elements, the next one loads while one plays", () => {
  const { clips, videos, begun, shown } = player();
  clips.offer([clip(0)]);
  assert.equal(videos[0].src, clip(0).url);
  videos[0].say("playing");
  clips.offer([clip(0), clip(1), clip(2)]);
  assert.deepEqual([videos[0].src, videos[1].src], [clip(0).url, clip(1).url]);
  assert.equal(videos[1].paused, true);
  videos[0].say("ended");
  assert.equal(shown(), videos[0], "its last picture stays until the next one has a first");
  assert.equal(videos[0].src, clip(0).url);
  videos[1].say("playing");
  assert.equal(shown(), videos[1]);
  assert.equal(videos[0].src, clip(2).url);
  videos[1].say("playing"); // after a moment of buffering
  videos[1].say("ended");
  videos[0].say("playing");
  videos[0].say("ended");
  assert.equal(clips.playing.current, null);
  clips.offer([clip(0), clip(1), clip(2), clip(3)]);
  assert.equal(videos[1].src, clip(3).url);
  videos[1].say("playing");
  assert.deepEqual(begun, ["0.mp4 1", "1.mp4 1", "2.mp4 1", "3.mp4 1"]);
});

test("a renewal changes nothing that plays or waits; a newer version that waits is taken", () => {
  const { clips, videos, begun } = player();
  clips.offer([clip(0), clip(1)]);
  videos[0].say("playing");
  const renewed = [clip(0), clip(1)].map((one) => ({ ...one, url: `${one.url}&signed=again` }));
  clips.offer(renewed);
  assert.deepEqual([videos[0].src, videos[1].src], [clip(0).url, clip(1).url]);
  clips.offer([clip(0, "0.mp4", 2), clip(1, "1.mp4", 2)]);
  assert.deepEqual([videos[0].src, videos[1].src], [clip(0).url, clip(1, "1.mp4", 2).url]);
  videos[0].say("ended");
  videos[1].say("playing");
  assert.deepEqual(begun, ["0.mp4 1", "1.mp4 2"]);
});

test("an address that fails in the middle is renewed, and it goes on from there", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { clips, videos, begun, refused } = player();
  clips.offer([clip(0)]);
  videos[0].say("playing");
  videos[0].currentTime = 7;
  videos[0].say("error");
  clips.offer([{ ...clip(0), url: "renewed" }]);
  t.mock.timers.tick(250);
  assert.deepEqual([videos[0].src, videos[0].currentTime, videos[0].paused], ["renewed", 7, false]);
  videos[0].say("playing");
  assert.deepEqual([begun, refused], [["0.mp4 1"], ["0.mp4"]]);
});

test("what does not open at all has failed after three more attempts, and a wake-up tries again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { clips, videos, refused } = player();
  clips.offer([clip(0)]);
  for (const wait of [250, 1000, 4000]) {
    videos[0].say("error");
    assert.equal(clips.playing.failed, null);
    t.mock.timers.tick(wait);
  }
  videos[0].say("error");
  assert.equal(clips.playing.failed?.name, "0.mp4");
  assert.equal(refused.length, 4);
  clips.wake();
  videos[0].say("playing");
  assert.equal(clips.playing.failed, null);
});

test("what does not load in its element is loaded again when its turn comes", () => {
  const { clips, videos, begun } = player();
  clips.offer([clip(0), clip(1)]);
  videos[0].say("playing");
  videos[1].say("error");
  clips.offer([clip(0), { ...clip(1), url: "renewed" }]);
  videos[0].say("ended");
  assert.equal(videos[1].src, "renewed");
  videos[1].say("playing");
  assert.deepEqual(begun, ["0.mp4 1", "1.mp4 1"]);
});

test("an element that stands still is told again, then loaded again; one that moves is not", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { clips, videos } = player();
  let pauses = 0;
  videos[0].addEventListener("pause", () => pauses++);
  clips.offer([clip(0)]);
  videos[0].say("playing");
  for (let second = 1; second < 9; second++) {
    videos[0].currentTime = second;
    t.mock.timers.tick(1000);
  }
  clips.wake();
  assert.equal(pauses, 0);
  t.mock.timers.tick(1000); // still for a second, after a page woke up
  assert.deepEqual([pauses, videos[0].paused, videos[0].src], [1, false, clip(0).url]);
  clips.offer([{ ...clip(0), url: "renewed" }]);
  t.mock.timers.tick(1000);
  assert.deepEqual([videos[0].src, videos[0].currentTime, videos[0].paused], ["renewed", 8, false]);
  videos[0].currentTime = 9;
  t.mock.timers.tick(1000);
  assert.equal(pauses, 1);
});

test("a clip that never begins is loaded again by a new address, and has failed in the end; a click tries again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { clips, videos, refused } = player();
  videos[0].readyState = 0;
  clips.offer([clip(0)]);
  t.mock.timers.tick(9_000);
  videos[0].bufferedSeconds = 1; // slow, and not still
  t.mock.timers.tick(2_000);
  assert.deepEqual(refused, []);
  t.mock.timers.tick(9_000);
  assert.deepEqual(refused, ["0.mp4"]);
  t.mock.timers.tick(60_000);
  assert.equal(clips.playing.failed?.name, "0.mp4");
  clips.toggle();
  videos[0].say("playing");
  assert.equal(clips.playing.failed, null);
});

test("what nobody sees, or a viewer paused, may stand still", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { clips, videos, seen, refused } = player();
  clips.offer([clip(0)]);
  videos[0].say("playing");
  seen.isSeen = false;
  t.mock.timers.tick(60_000);
  seen.isSeen = true;
  clips.toggle();
  t.mock.timers.tick(60_000);
  assert.deepEqual([refused, clips.playing.failed, videos[0].paused], [[], null, true]);
});

test("a browser that wants a click, a viewer who pauses, a page that thaws", async () => {
  const { clips, videos } = player();
  videos[0].wantsClick = true;
  clips.offer([clip(0)]);
  await settled();
  assert.equal(clips.playing.isPaused, true);
  videos[0].wantsClick = false;
  clips.toggle();
  videos[0].say("playing");
  assert.equal(clips.playing.isPaused, false);
  clips.toggle();
  assert.equal(clips.playing.isPaused, true);
  clips.wake();
  assert.equal(videos[0].paused, true, "the viewer's pause stays");
  clips.toggle();
  videos[0].pause(); // the browser's doing
  clips.wake();
  assert.equal(videos[0].paused, false);
});

test("what is loaded again after a failure stays paused by the viewer, and goes on at the next click", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { clips, videos } = player();
  clips.offer([clip(0)]);
  videos[0].say("playing");
  videos[0].currentTime = 7;
  clips.toggle();
  videos[0].say("error");
  clips.offer([{ ...clip(0), url: "renewed" }]);
  t.mock.timers.tick(250);
  assert.deepEqual([videos[0].src, videos[0].currentTime, videos[0].paused], ["renewed", 7, true]);
  clips.toggle();
  assert.equal(videos[0].paused, false);
});

test("the first click on a clip that has failed tries it again, though its element says that it plays", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { clips, videos } = player();
  clips.offer([clip(0)]);
  for (const wait of [250, 1000, 4000, 0]) {
    videos[0].say("error");
    t.mock.timers.tick(wait);
  }
  assert.equal(clips.playing.failed?.name, "0.mp4");
  assert.equal(videos[0].paused, false);
  clips.offer([{ ...clip(0), url: "renewed" }]);
  clips.toggle();
  assert.deepEqual([videos[0].src, videos[0].paused], ["renewed", false]);
  videos[0].say("playing");
  assert.equal(clips.playing.failed, null);
});
