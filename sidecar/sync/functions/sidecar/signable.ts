/** Which objects an action may sign for its caller: the one place where signing asks the tables. */
import { makeFunctionReference } from "convex/server";
import { v } from "convex/values";
import { internalQuery, type QueryCtx } from "../_generated/server";
import { addressOf, problemWithObject } from "../renderSidecar/lib/objects";
import type { AssetReference } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { assetRule, readableSession, type Readable } from "./reading";
import { keysFor } from "./rules";
import { signable, type Signable } from "./urls";

/** What is believed of an object is what anybody may name: its issuer is not asked any more. */
const NOBODY = { producer: "", projects: [] };

/** As `internal` names it, before that is generated. */
export const readableObjects = makeFunctionReference<"query", { ids: string[] }, (Signable | null)[]>(
  "sidecar/signable:readable",
);

/** In order; null for an asset that is not there, that the caller may not see, or whose object is not its project's. */
export const readable = internalQuery({
  args: { ids: v.array(v.string()) },
  returns: v.array(v.union(v.null(), signable)),
  handler: async (ctx, { ids }) => {
    const assets = await ctx.runQuery(component.assets.byIds, { ids });
    const ruleOf = await rulesOf(ctx, assets);
    return await Promise.all(
      assets.map(async (asset) => {
        const rule = asset && ruleOf.get(asset.sessionId);
        return asset && rule && (await rule(asset)) ? signableOf(asset) : null;
      }),
    );
  },
});

/** Each session's rule, asked once a call; a session that the caller may not read has none. */
async function rulesOf(ctx: QueryCtx, assets: (AssetReference | null)[]): Promise<Map<string, Readable>> {
  const found = new Map<string, Readable>();
  for (const sessionId of new Set(assets.flatMap((asset) => (asset === null ? [] : [asset.sessionId])))) {
    const session = await readableSession(ctx, sessionId);
    if (session !== null) found.set(sessionId, await assetRule(ctx, session));
  }
  return found;
}

/** Rows were checked when they were written, perhaps by another rule, or with an issuer's word alone. */
function signableOf(asset: AssetReference): Signable | null {
  const { id, version, projectId, bucket, s3Key } = asset;
  const keys = keysFor(projectId, NOBODY);
  const problem = problemWithObject(asset, projectId, keys);
  if (problem !== null) console.warn(`accessUrls: ${problem.message}`);
  return problem === null ? { id, version, projectId, bucket, s3Key, s3Url: addressOf(asset, keys) } : null;
}
