/** Which objects an action may sign for its caller: the one place where signing asks the tables. */
import { v } from "convex/values";
import type { Doc } from "../_generated/dataModel";
import { internalQuery, type QueryCtx } from "../_generated/server";
import { assetRule, readableSession, type Readable } from "./access";
import { assetById } from "./identity";
import { keysFor, problemWithObject } from "./objects";
import { isDeleted } from "./rows";
import { signable, type Signable } from "./urls";

/** In order; null for an asset that is not there, that the caller may not see, or whose object is not its project's. */
export const readable = internalQuery({
  args: { ids: v.array(v.string()) },
  returns: v.array(v.union(v.null(), signable)),
  handler: async (ctx, { ids }) => {
    const rows = await Promise.all(ids.map((id) => assetById(ctx, id)));
    const ruleOf = await rulesOf(ctx, rows);
    return await Promise.all(
      rows.map(async (row, i) => {
        const rule = row && ruleOf.get(row.sessionId);
        if (!row || !rule || !(await rule(row)) || (await isGone(ctx, row))) return null;
        return signableOf(row, ids[i]!);
      }),
    );
  },
});

/** Each session's rule, asked once a call; a session that the caller may not read has none. */
async function rulesOf(ctx: QueryCtx, rows: (Doc<"assets"> | null)[]): Promise<Map<string, Readable>> {
  const found = new Map<string, Readable>();
  for (const sessionId of new Set(rows.flatMap((row) => (row === null ? [] : [row.sessionId])))) {
    const session = await readableSession(ctx, sessionId);
    if (session !== null) found.set(sessionId, await assetRule(ctx, session));
  }
  return found;
}

async function isGone(ctx: QueryCtx, { entityType, sessionId, entityId }: Doc<"assets">): Promise<boolean> {
  return entityType === "scene" && (await isDeleted(ctx, sessionId, entityId));
}

/** Rows were checked when they were written, perhaps by another rule, or with an issuer's word alone. */
function signableOf(row: Doc<"assets">, id: string): Signable | null {
  const { projectId, bucket, s3Key, s3Url } = row;
  const problem = problemWithObject(row, projectId, keysFor(projectId, { isTrusted: false }));
  if (problem !== null) console.warn(`accessUrls: ${problem.message}`);
  return problem === null ? { id, projectId, bucket, s3Key, s3Url } : null;
}
