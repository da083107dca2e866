/** Scenes, chunks and addresses for components; all of them answer as the viewer who is signed in. */
import { useAction, useQueries, useQuery, type UsePaginatedQueryReturnType } from "convex/react";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { AddressBook, type Addresses, type Wanted } from "./addressBook";
import { functions, type Chunk, type Scene, type SceneChunks, type ShownAsset } from "./functions";
import { usePages } from "./usePages";

const SCENES_AT_FIRST = 50;
const WAKING = ["visibilitychange", "resume"] as const; // of the document
const RETURNING = ["pageshow", "focus", "online"] as const; // of the window

/** The scenes of a session in natural order; `loadMore` while `status` is "CanLoadMore". */
export function useSessionScenes(
  session: { sessionId: string } | "skip",
  { initialNumItems = SCENES_AT_FIRST }: { initialNumItems?: number } = {},
): UsePaginatedQueryReturnType<typeof functions.scenes> {
  return usePages(functions.scenes, session, { initialNumItems });
}

type SceneOfChunks = { sessionId: string; sceneId: string; first?: number | undefined };
type PlayableChunks = SceneChunks & { playable: Chunk[] };

/**
 * The chunks of a scene in order, and those of them that may be played already; undefined while it loads. `first` is
 * the number of the first chunk, 0 unless said otherwise.
 */
export function useSceneChunks(
  scene: { sessionId: string; sceneId: string; first?: number } | "skip",
): PlayableChunks | undefined {
  const found = useQuery(functions.chunks, scene);
  return useMemo(() => found && withPlayable(found), [found]);
}

/** What a player reads. A refusal is a value here: it is this player's, and takes no page down. */
export function usePlayedScene({ sessionId, sceneId, first }: SceneOfChunks): {
  scene: Scene | null | undefined;
  chunks: PlayableChunks | undefined;
  error: Error | null;
} {
  const queries = useMemo(() => {
    const scene = { sessionId, sceneId };
    const numbered = first === undefined ? scene : { ...scene, first };
    return { scene: { query: functions.scene, args: scene }, chunks: { query: functions.chunks, args: numbered } };
  }, [sessionId, sceneId, first]);
  const { scene, chunks } = useQueries(queries) as { scene: Told<Scene | null>; chunks: Told<SceneChunks> };
  const playable = useMemo(() => (chunks instanceof Error ? undefined : chunks && withPlayable(chunks)), [chunks]);
  const error = [scene, chunks].find((told) => told instanceof Error) ?? null;
  return { scene: scene instanceof Error ? undefined : scene, chunks: playable, error };
}

type Told<T> = T | Error | undefined;

function withPlayable(found: SceneChunks): PlayableChunks {
  return { ...found, playable: found.chunks.slice(0, found.contiguous) };
}

/**
 * Addresses at which the browser opens these assets, renewed at 80 % of their life for as long as they are asked for.
 * `urls` has null for an asset that the viewer may not see, and no entry while it is asked for. `renew` asks again for
 * one that did not open. Addresses are found by `id` of a chunk and `assetId` of a scene's asset; one that was rendered
 * again has a new one.
 */
export function useAccessUrls(assets: readonly (Pick<Chunk, "id" | "version"> | ShownAsset)[]): Addresses & { renew: (id: string) => void } {
  const sign = useAction(functions.accessUrls);
  const book = useMemo(() => new AddressBook((some) => sign({ ids: some })), [sign]);
  useEffect(() => {
    const stop = onWaking(book.look);
    return () => {
      stop();
      book.close();
    };
  }, [book]);
  const key = JSON.stringify(assets.flatMap(wanted));
  useEffect(() => {
    book.want(JSON.parse(key) as Wanted[]);
  }, [book, key]);
  const { urls, error } = useSyncExternalStore(book.subscribe, book.current, book.current);
  return useMemo(() => ({ urls, error, renew: book.renew }), [urls, error, book]);
}

/** A scene tells no version of what it shows; documents of earlier versions not even an id. */
function wanted(asset: Wanted | ShownAsset): Wanted[] {
  if ("id" in asset) return [{ id: asset.id, version: asset.version }];
  const { assetId, s3Key, uploadedAt } = asset;
  return assetId === undefined ? [] : [{ id: assetId, version: `${uploadedAt} ${s3Key}` }];
}

/** Call back when the page is seen, thawed or connected again; returns what ends that. */
export function onWaking(run: () => void): () => void {
  for (const name of WAKING) document.addEventListener(name, run);
  for (const name of RETURNING) window.addEventListener(name, run);
  return () => {
    for (const name of WAKING) document.removeEventListener(name, run);
    for (const name of RETURNING) window.removeEventListener(name, run);
  };
}
