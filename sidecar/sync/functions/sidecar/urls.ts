/** Addresses at which a browser opens an object: signed for a while, or stable where the application says so. */
import { v, type Infer } from "convex/values";
import * as cloudfront from "./cloudfront";
import { fail } from "../renderSidecar/lib/errors";
import { below } from "./objectPaths";
import { rules } from "./rules";
import * as sigv4 from "./sigv4";

/** An object that the caller may see. */
export const signable = v.object({
  id: v.string(),
  version: v.number(),
  projectId: v.string(),
  bucket: v.string(),
  s3Key: v.string(),
  s3Url: v.string(),
});
export type Signable = Infer<typeof signable>;

/** `expiresAt` and `signedAt` are milliseconds since 1970; an address that never expires has null there. */
export const accessUrl = v.object({
  id: v.string(),
  version: v.number(), // of the asset: an id stays when it is rendered again
  url: v.string(),
  signedAt: v.number(),
  expiresAt: v.union(v.number(), v.null()),
});
export type AccessUrl = Infer<typeof accessUrl>;

/**
 * How objects are reached. `lifeSeconds`: how long an address opens; nothing takes an issued one back. `endpoint`: of a
 * store that is not Amazon's. `base`: what stands before the key, "https://d111111abcdef8.cloudfront.net".
 */
export type Urls =
  | { by: "public"; base?: string | undefined }
  | ({ by: "s3"; lifeSeconds: number } & sigv4.S3)
  | ({ by: "cloudfront"; lifeSeconds: number } & cloudfront.CloudFront);

type Signed = Exclude<Urls, { by: "public" }>;

/** SigV4 admits no more; CloudFront would. */
const LIFE_SECONDS_MAX = 7 * 24 * 3600;

/** Throws NOT_CONFIGURED where `urlsOf` is missing or its answer cannot be used; no message holds a credential. */
export async function addressFor(object: Signable): Promise<AccessUrl> {
  const urls = await rules.urlsOf?.(object);
  if (urls === undefined) fail("NOT_CONFIGURED", "convex/sidecarAccess.ts has no urlsOf: see accessUrls");
  const second = Math.floor(Date.now() / 1000);
  const told = { id: object.id, version: object.version, signedAt: second * 1000 };
  if (urls.by === "public") {
    const url = urls.base === undefined ? object.s3Url : below(urls.base, object.s3Key);
    return { ...told, url, expiresAt: null };
  }
  requireLife(urls);
  const url = urls.by === "s3" ? await sigv4.presign(object, urls, second) : await cloudfront.sign(object, urls, second);
  return { ...told, url, expiresAt: (second + urls.lifeSeconds) * 1000 };
}

function requireLife({ by, lifeSeconds }: Signed): void {
  if (Number.isInteger(lifeSeconds) && lifeSeconds >= 1 && lifeSeconds <= LIFE_SECONDS_MAX) return;
  fail("NOT_CONFIGURED", `urlsOf: lifeSeconds of "${by}" is a whole number from 1 to ${LIFE_SECONDS_MAX}`);
}
