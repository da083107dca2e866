/** Which objects a project may name: what a sidecar says of bucket, key and address is believed within this only. */
import type { Problem } from "./checks";
import { rules, type Keys } from "./rules";
import type { S3Asset } from "./shapes";

/** "anything": nobody has said what, and the issuer is believed. */
export type ObjectRule = Keys | "anything";
type Named = Pick<S3Asset, "bucket" | "s3Key">;

const NOTHING: Keys = { buckets: [], prefixes: [] };
/** What S3 and compatible stores admit; nothing that an address would read as anything but a name. */
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i;
const HOST_LABEL = /^[a-z0-9][a-z0-9-]*[a-z0-9]$/;

/**
 * The rule for a project. Without `keysOf` an issuer that may write every project is believed, as it could lie about
 * none that is not its own; any other keeps below its project's name. A `keysOf` that knows no such project allows
 * nothing.
 */
export function keysFor(projectId: string, { isTrusted }: { isTrusted: boolean }): ObjectRule {
  if (rules.keysOf !== undefined) return rules.keysOf(projectId) ?? NOTHING;
  return isTrusted ? "anything" : { buckets: "any", prefixes: [`${projectId}/`], hosts: "any" };
}

/** Null for an object that the project may name. */
export function problemWithObject(object: Named, projectId: string, keys: ObjectRule): Problem | null {
  if (keys === "anything" || isWithin(object, keys)) return null;
  const { bucket, s3Key } = object;
  const message = `object "${s3Key}" of bucket "${bucket}" is not project "${projectId}"'s: see keysOf in convex/sidecarAccess.ts`;
  return { code: "FOREIGN_OBJECT", message };
}

/** A segment `..` is a name to S3, and to a browser or a CDN the way to somebody else's object. */
function isWithin({ bucket, s3Key }: Named, { buckets, prefixes }: Keys): boolean {
  if (s3Key.split(/[/\\]/).some((segment) => segment === "." || segment === "..")) return false;
  if (buckets === "any" ? !BUCKET.test(bucket) : !buckets.includes(bucket)) return false;
  return prefixes === "any" || prefixes.some((prefix) => s3Key.startsWith(prefix));
}

/** The address to be stored: the one that was sent, where it can only be this object's; else Amazon's. */
export function addressOf(asset: S3Asset, keys: ObjectRule): string {
  if (keys === "anything" || isAddress(asset, keys)) return asset.s3Url;
  const { bucket, s3Key } = asset;
  const path = s3Key.split("/").map(encodeURIComponent).join("/");
  return HOST_LABEL.test(bucket)
    ? `https://${bucket}.s3.amazonaws.com/${path}`
    : `https://s3.amazonaws.com/${encodeURIComponent(bucket)}/${path}`;
}

function isAddress(asset: S3Asset, { buckets, hosts = [] }: Keys): boolean {
  const url = parsed(asset.s3Url);
  if (url === null || url.username !== "" || url.search !== "" || url.hash !== "") return false;
  const path = pathOf(url);
  if (path === null) return false;
  if (hosts === "any") return path.endsWith(`/${asset.s3Key}`) && /^https?:$/.test(url.protocol);
  if (hosts.some((host) => isBelow(host, `${url.origin}${path}`, asset, buckets))) return true;
  return url.protocol === "https:" && isAmazons(url.host, path, asset);
}

/** A bucket that nobody has named could be the first folder of somebody else's key: it is no part of the path. */
function isBelow(host: string, address: string, { bucket, s3Key }: Named, buckets: Keys["buckets"]): boolean {
  const base = (host.includes("://") ? host : `https://${host}`).replace(/\/+$/, "");
  return address === `${base}/${s3Key}` || (buckets !== "any" && address === `${base}/${bucket}/${s3Key}`);
}

/** Amazon's own address of this bucket and no other's. */
function isAmazons(host: string, path: string, { bucket, s3Key }: Named): boolean {
  const amazon = /^(.*\.)?(s3(?:-fips|-accelerate)?(?:\.dualstack)?(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?)$/;
  const found = amazon.exec(host);
  if (found === null) return false;
  return found[1] === undefined ? path === `/${bucket}/${s3Key}` : found[1] === `${bucket}.` && path === `/${s3Key}`;
}

function parsed(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

function pathOf(url: URL): string | null {
  try {
    return decodeURIComponent(url.pathname);
  } catch {
    return null;
  }
}
