/** Signed URLs of CloudFront: a canned policy, RSA with SHA-1 as CloudFront asks for it, by Web Crypto alone. */
import { fail } from "../renderSidecar/lib/errors";
import { below, given } from "./objectPaths";

/** `privateKey`: PEM, as `openssl genrsa` writes it (PKCS#1 or PKCS#8); its line breaks may be written as \n. */
export type CloudFront = {
  base: string | undefined;
  keyPairId: string | undefined;
  privateKey: string | undefined;
};

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-1" };
/** PKCS#8 around a PKCS#1 key: version 0, and the algorithm rsaEncryption without parameters. */
const VERSION_AND_RSA = [2, 1, 0, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];

/** `second` is the time of signing, in seconds since 1970. */
export async function sign(
  object: { s3Key: string },
  by: CloudFront & { lifeSeconds: number },
  second: number,
): Promise<string> {
  const url = below(given("cloudfront", "base", by.base), object.s3Key);
  const expires = second + by.lifeSeconds;
  const condition = { DateLessThan: { "AWS:EpochTime": expires } };
  const policy = JSON.stringify({ Statement: [{ Resource: url, Condition: condition }] });
  const key = await privateKey(given("cloudfront", "privateKey", by.privateKey));
  const signature = await crypto.subtle.sign(RSA.name, key, new TextEncoder().encode(policy));
  const keyPairId = given("cloudfront", "keyPairId", by.keyPairId);
  return `${url}?Expires=${expires}&Signature=${urlSafe(signature)}&Key-Pair-Id=${keyPairId}`;
}

async function privateKey(pem: string): Promise<CryptoKey> {
  try {
    const body = pem.replaceAll("\\n", "\n").replace(/-----[^-]+-----/g, "");
    const der = Uint8Array.from(atob(body.replace(/\s/g, "")), (sign) => sign.charCodeAt(0));
    const pkcs8 = pem.includes("BEGIN RSA PRIVATE KEY") ? wrapped(der) : der;
    return await crypto.subtle.importKey("pkcs8", pkcs8, RSA, false, ["sign"]);
  } catch {
    fail("NOT_CONFIGURED", 'urlsOf: privateKey of "cloudfront" is no RSA private key in PEM');
  }
}

function wrapped(pkcs1: Uint8Array): Uint8Array<ArrayBuffer> {
  return element(0x30, [...VERSION_AND_RSA, ...element(4, pkcs1)]);
}

/** A DER element: its tag, its length in as few bytes as hold it, its content. */
function element(tag: number, content: Iterable<number>): Uint8Array<ArrayBuffer> {
  const bytes = [...content];
  const length: number[] = [];
  for (let rest = bytes.length; rest > 0; rest >>= 8) length.unshift(rest & 255);
  const head = bytes.length < 128 ? [bytes.length] : [128 + length.length, ...length];
  return new Uint8Array([tag, ...head, ...bytes]);
}

/** CloudFront's own variant of base64. */
function urlSafe(bytes: ArrayBuffer): string {
  const base64 = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return base64.replaceAll("+", "-").replaceAll("=", "_").replaceAll("/", "~");
}
