/** What is played next, and how a player stands: plain decisions. */
import type { Chunk, Scene, SceneChunks } from "./functions";

/**
 * pending: nothing to show yet. uploading: all that is there was played, and more comes. stalled: more was to come, and
 * its sidecar is gone. denied: the viewer may not see it (a scene that was never seen looks pending: nobody is told
 * whether it is there). paused: the viewer's doing, or the browser's, which wants a click before it plays sound.
 */
export type PlayerState = "pending" | "uploading" | "playing" | "paused" | "stalled" | "denied" | "error" | "ended";

export type Clip = Pick<Chunk, "id" | "version" | "index" | "name">;
export type Playing = { current: Clip | null; last: Clip | null; isPaused: boolean; failed: Clip | null };

/** The first one behind the last that was begun: what comes late in front of that is never played. */
export function nextClip<T extends Clip>(playable: readonly T[], last: Clip | null): T | null {
  return playable.find((clip) => last === null || isAfter(clip, last)) ?? null;
}

/** Those whose address is known, up to the first that must come before all others and has none. */
export function withAddresses<T extends Clip>(
  playable: readonly T[],
  last: Clip | null,
  urls: ReadonlyMap<string, string | null>,
): (T & { url: string })[] {
  const ready: (T & { url: string })[] = [];
  for (const clip of playable) {
    const url = urls.get(clip.id);
    if (typeof url === "string") ready.push({ ...clip, url });
    else if (last === null || isAfter(clip, last)) break;
  }
  return ready;
}

/** What needs an address: what plays, and some of what follows, also before it may be played. */
export function needed(chunks: readonly Clip[], last: Clip | null, ahead: number): Clip[] {
  const from = chunks.filter((chunk) => last === null || chunk.id === last.id || isAfter(chunk, last));
  return from.slice(0, ahead);
}

function isAfter(one: Clip, other: Clip): boolean {
  const [a, b] = [one.index ?? Infinity, other.index ?? Infinity];
  return a > b || (a === b && one.name > other.name);
}

export type Facts = {
  scene: Pick<Scene, "assetsStatus" | "stalledSince"> | null | undefined;
  wasSeen: boolean; // the scene was there before
  chunks: Pick<SceneChunks, "isComplete" | "contiguous"> & { chunks: readonly unknown[] };
  next: Clip | null;
  urls: ReadonlyMap<string, string | null>; // null: the viewer may not see it
  hasAddressError: boolean;
  hasQueryError: boolean; // of the scene or its chunks
  playing: Playing;
};

export function stateOf(facts: Facts): PlayerState {
  const { scene, wasSeen, chunks, next, urls, hasAddressError, hasQueryError, playing } = facts;
  if (playing.failed !== null) return urls.get(playing.failed.id) === null ? "denied" : "error";
  if (playing.current !== null) return playing.isPaused ? "paused" : "playing";
  if (next !== null) {
    if (urls.get(next.id) === null) return "denied";
    if (hasAddressError && !urls.has(next.id)) return "error";
    return playing.last === null ? "pending" : "uploading";
  }
  if (hasQueryError) return "error";
  if (scene === null || scene === undefined) return wasSeen && scene === null ? "denied" : "pending";
  if (chunks.isComplete && playing.last !== null) return chunks.contiguous < chunks.chunks.length ? "error" : "ended";
  if (scene.assetsStatus === "error") return "error";
  if (scene.stalledSince !== undefined) return "stalled";
  return scene.assetsStatus === "uploading" || chunks.chunks.length > 0 ? "uploading" : "pending";
}
