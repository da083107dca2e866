/** Reading for front ends: what the rules of sidecarAccess.ts refuse looks as if it did not exist. */
import type { PaginationOptions } from "convex/server";
import type { QueryCtx } from "../_generated/server";
import { defined } from "../renderSidecar/lib/optional";
import type { PageArgs } from "../renderSidecar/lib/pages";
import type { AssetType, ListedScene, Scene, Session, SessionDocument, ShownAsset, Slot } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { rules, type ReadableAsset, type Viewer } from "./rules";

/** May the caller see this asset of a session that is readable? */
export type Readable = (asset: Pick<ReadableAsset, "entityType" | "entityId" | "assetType" | "name">) => Promise<boolean>;

export async function readableSession(ctx: QueryCtx, sessionId: string): Promise<SessionDocument | null> {
  const session = await ctx.runQuery(component.sessions.document, { sessionId });
  if (session === null || (await rules.canReadSession(ctx, session))) return session;
  console.warn(`canReadSession in convex/sidecarAccess.ts refused session "${sessionId}"`);
  return null;
}

/** The rule for a session's assets; without `canReadAsset` who may read a session may read them all. */
export async function assetRule(
  ctx: QueryCtx,
  session: Pick<SessionDocument, "sessionId" | "projectId">,
): Promise<Readable> {
  const { canReadAsset } = rules;
  if (canReadAsset === undefined) return async () => true;
  const viewer = viewerOf(await ctx.auth.getUserIdentity());
  const { sessionId, projectId } = session;
  return async ({ entityType, entityId, assetType, name }) =>
    await canReadAsset(ctx, { sessionId, projectId, entityType, entityId, assetType, name }, viewer);
}

/** Both rules, answered as if this viewer had called. */
export async function isReadableBy(
  ctx: QueryCtx,
  viewer: Viewer,
  session: SessionDocument,
  asset: Slot,
): Promise<boolean> {
  const identity = viewer && { ...viewer, tokenIdentifier: `${viewer.issuer}|${viewer.subject}` };
  const theirs = { ...ctx, auth: { getUserIdentity: () => Promise.resolve(identity) } };
  if (!(await rules.canReadSession(theirs, session))) return false;
  return await (await assetRule(theirs, session))(asset);
}

function viewerOf(identity: { issuer: string; subject: string } | null): Viewer {
  return identity && { issuer: identity.issuer, subject: identity.subject };
}

/** What of these may be seen, in order. */
export async function readable<Asset>(
  assets: Asset[],
  isReadable: (asset: Asset) => Promise<boolean>,
): Promise<Asset[]> {
  const shown = await Promise.all(assets.map(isReadable));
  return assets.filter((_, i) => shown[i]);
}

export async function readableScene(scene: Scene, isReadable: Readable): Promise<Scene> {
  const { previousAssetVersions, ...listed } = scene;
  const previous = await readable(previousAssetVersions, ({ assetType, name }) =>
    isReadable({ entityType: "scene", entityId: scene.sceneId, assetType, name }),
  );
  return { ...(await readableListedScene(listed, isReadable)), previousAssetVersions: previous };
}

export async function readableListedScene(scene: ListedScene, isReadable: Readable): Promise<ListedScene> {
  const { videoAsset, sourceCodeAsset, thumbnailAsset, subtitleAsset, ...rest } = scene;
  const may = shownRule(isReadable, "scene", scene.sceneId);
  return defined({
    ...rest,
    videoAsset: await may("video_chunk", videoAsset),
    sourceCodeAsset: await may("source_code", sourceCodeAsset),
    thumbnailAsset: await may("thumbnail", thumbnailAsset),
    subtitleAsset: await may("subtitle", subtitleAsset),
  });
}

export async function readableSessionView(session: Session, isReadable: Readable): Promise<Session> {
  const { combinedVideoAsset, combinedSubtitleAsset, manifestAsset, ...rest } = session;
  const may = shownRule(isReadable, "session", session.sessionId);
  return defined({
    ...rest,
    combinedVideoAsset: await may("combined_video", combinedVideoAsset),
    combinedSubtitleAsset: await may("subtitle", combinedSubtitleAsset),
    manifestAsset: await may("manifest", manifestAsset),
  });
}

/** Lets an asset of a document pass, if it may be seen: documents of earlier versions do not tell its name. */
function shownRule(isReadable: Readable, entityType: "scene" | "session", entityId: string) {
  return async (assetType: AssetType, asset: ShownAsset | undefined): Promise<ShownAsset | undefined> => {
    const isShown = asset && (await isReadable({ entityType, entityId, assetType, name: asset.name ?? null }));
    return isShown ? asset : undefined;
  };
}

/** A page of nothing: what is not there, or may not be seen. */
export const noPage = () => ({ page: [], isDone: true, continueCursor: "" });

/** What the component's pages need of what React's hooks send. */
export function asked({ cursor, numItems, endCursor }: PaginationOptions): PageArgs {
  return defined({ cursor, numItems, endCursor });
}
