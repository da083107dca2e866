/** Presigned GETs of S3 and compatible stores: AWS Signature Version 4 in the query, by Web Crypto alone. */
import { encoded, encodedKey, given } from "./objectPaths";

/** A credential that is undefined is refused by name: an environment variable that nobody has set. */
export type S3 = {
  region: string | undefined;
  endpoint?: string | undefined; // "https://minio.example.com", asked by path
  accessKeyId: string | undefined;
  secretAccessKey: string | undefined;
  sessionToken?: string | undefined;
};
type Place = { host: string; path: string; origin: string };

const ALGORITHM = "AWS4-HMAC-SHA256";
const HOST_LABEL = /^[a-z0-9][a-z0-9-]*[a-z0-9]$/;
const utf8 = new TextEncoder();

/** `second` is the time of signing, in seconds since 1970. */
export async function presign(
  object: { bucket: string; s3Key: string },
  s3: S3 & { lifeSeconds: number },
  second: number,
): Promise<string> {
  const region = given("s3", "region", s3.region);
  const { origin, host, path } = placeOf(object, region, s3.endpoint);
  const time = new Date(second * 1000).toISOString().replace(/[:-]|\.\d{3}/g, "");
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const query = [
    ["X-Amz-Algorithm", ALGORITHM],
    ["X-Amz-Credential", `${given("s3", "accessKeyId", s3.accessKeyId)}/${scope}`],
    ["X-Amz-Date", time],
    ["X-Amz-Expires", String(s3.lifeSeconds)],
    ...(s3.sessionToken ? [["X-Amz-Security-Token", s3.sessionToken]] : []),
    ["X-Amz-SignedHeaders", "host"],
  ]
    .map(([name, value]) => `${name}=${encoded(value ?? "")}`) // they are in the order that is signed
    .join("&");
  const request = ["GET", path, query, `host:${host}`, "", "host", "UNSIGNED-PAYLOAD"].join("\n");
  const text = [ALGORITHM, time, scope, hex(await crypto.subtle.digest("SHA-256", utf8.encode(request)))].join("\n");
  const key = await signingKey(given("s3", "secretAccessKey", s3.secretAccessKey), scope);
  return `${origin}${path}?${query}&X-Amz-Signature=${hex(await hmac(key, text))}`;
}

/** A bucket whose name is no host label is asked by path: no certificate covers it as a host. */
function placeOf({ bucket, s3Key }: { bucket: string; s3Key: string }, region: string, endpoint?: string): Place {
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  if (!endpoint && HOST_LABEL.test(bucket)) {
    const host = `${bucket}.s3.${region}.${domain}`;
    return { host, origin: `https://${host}`, path: `/${encodedKey(s3Key)}` };
  }
  const { host, origin, pathname } = new URL(endpoint ? endpoint : `https://s3.${region}.${domain}`);
  return { host, origin, path: `${pathname.replace(/\/+$/, "")}/${encoded(bucket)}/${encodedKey(s3Key)}` };
}

async function signingKey(secret: string, scope: string): Promise<ArrayBuffer> {
  let key = utf8.encode(`AWS4${secret}`).buffer;
  for (const part of scope.split("/")) key = await hmac(key, part);
  return key;
}

async function hmac(key: ArrayBuffer, text: string): Promise<ArrayBuffer> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return await crypto.subtle.sign("HMAC", imported, utf8.encode(text));
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
