/** Whose an object is by its key: the transfer's id in it ends with a tag of its sidecar. As `core/ids.py` makes it. */

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TRANSFER = new RegExp(`(?<![0-9A-Z])[0-7][${CROCKFORD}]{17}([${CROCKFORD}]{8})(?![0-9A-Z])`, "g");
const TAG_CHARS = 8;

/** Of a producer's name, `issuer|sidecarId`: issuers have no bar. */
export async function tagOf(producer: string): Promise<string> {
  const sidecarId = producer.slice(producer.indexOf("|") + 1);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(sidecarId)));
  let number = digest.slice(0, 5).reduce((sum, byte) => sum * 256 + byte, 0); // 40 bits: exact in a float64
  let tag = "";
  for (let n = 0; n < TAG_CHARS; n += 1) {
    tag = CROCKFORD.charAt(number % 32) + tag;
    number = Math.floor(number / 32);
  }
  return tag;
}

/** The tags of all transfers that a key names. */
export function tagsIn(key: string): string[] {
  return [...new Set(Array.from(key.matchAll(TRANSFER), (match) => match[1] ?? ""))];
}
