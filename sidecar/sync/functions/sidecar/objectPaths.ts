/** What every way to sign an address needs: keys as paths, and what `urlsOf` gave. */
import { fail } from "../renderSidecar/lib/errors";

/** The value of a credential or place that `urlsOf` gave. Throws NOT_CONFIGURED. */
export function given(by: "s3" | "cloudfront", name: string, value: string | undefined): string {
  if (value !== undefined && value !== "") return value;
  fail("NOT_CONFIGURED", `urlsOf: "${by}" has no ${name}: is the environment variable set that it comes from?`);
}

export function below(base: string, key: string): string {
  return `${base.replace(/\/+$/, "")}/${encodedKey(key)}`;
}

/** A key as a path: everything is encoded but what RFC 3986 leaves alone, and the slashes. */
export function encodedKey(key: string): string {
  return key.split("/").map(encoded).join("/");
}

export function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
