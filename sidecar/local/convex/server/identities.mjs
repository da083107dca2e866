/** Who a request comes from: nobody, a user with a JWT, an admin key, a scoped deploy key. */
import { webcrypto } from "node:crypto";
import { SystemError } from "./errors.mjs";

const CACHED_MAX = 1000;
const SKEW_MS = 5000;
export const NOBODY = { kind: "none" };
export const ADMIN = { kind: "admin", rights: null };

export class Identities {
  #providers;
  #options;
  #verified = new Map();

  constructor(providers, options) {
    this.#options = options;
    this.trust(providers);
  }

  /** From now on these providers; a token that was good may be none any more. */
  trust(providers) {
    this.#providers = providers;
    this.#verified.clear();
  }

  /** Of an Authorization header and the call's arguments, which --dev-auth believes. */
  async ofRequest(header, args) {
    if (!header) return this.ofNobody(args);
    if (/^convex /i.test(header)) return this.ofAdminKey(header.slice("convex ".length));
    if (/^bearer /i.test(header)) return await this.ofToken(header.slice("bearer ".length));
    throw new SystemError(400, "InvalidAdminKey", "Invalid admin key");
  }

  ofNobody(args) {
    if (!this.#options.devAuth) return NOBODY;
    const subject = typeof args?.sidecarId === "string" ? args.sidecarId : "dev";
    return user(process.env.SIDECAR_JWT_ISSUER ?? "dev", subject, {});
  }

  ofAdminKey(key) {
    if (key === this.#options.adminKey) return ADMIN;
    const rights = this.#options.scopedKeys.get(key);
    if (rights) return { kind: "admin", rights };
    throw new SystemError(401, "BadAdminKey", "The provided admin key was invalid for this instance");
  }

  async ofToken(token) {
    const known = this.#verified.get(token);
    if (known && isFresh(known.expires)) return known.identity;
    const { header, claims, signed, signature } = parse(token);
    await verify(this.#providerOf(claims), header, signed, signature);
    if (!isFresh(claims.exp)) throw unauthorized("Could not validate token: Token expired");
    const { iss, sub, aud: _aud, exp: _exp, iat: _iat, nbf: _nbf, ...rest } = claims;
    const identity = user(iss, sub, rest);
    if (this.#verified.size >= CACHED_MAX) this.#verified.clear();
    this.#verified.set(token, { expires: claims.exp, identity });
    return identity;
  }

  #providerOf(claims) {
    const audiences = [claims.aud ?? []].flat();
    const provider = this.#providers.find(
      ({ type, issuer, applicationID }) =>
        type === "customJwt" &&
        issuer === claims.iss &&
        (applicationID === undefined || audiences.includes(applicationID)),
    );
    if (provider) return provider;
    throw new SystemError(401, "NoAuthProvider", "No auth provider found matching the given token");
  }
}

const unauthorized = (message) => new SystemError(401, "InvalidAuthHeader", message);
const isFresh = (expires) => expires * 1000 > Date.now() - SKEW_MS;

function user(issuer, subject, claims) {
  return { kind: "user", identity: { ...claims, issuer, subject, tokenIdentifier: `${issuer}|${subject}` } };
}

function parse(token) {
  try {
    const [head, body, signature] = token.split(".");
    const decode = (text) => JSON.parse(Buffer.from(text, "base64url"));
    return { header: decode(head), claims: decode(body), signed: `${head}.${body}`, signature };
  } catch {
    throw unauthorized("Could not parse as id token");
  }
}

async function verify(provider, header, signed, signature) {
  const [kind, data] = provider.jwks.split(",");
  const jwks = JSON.parse(kind.endsWith(";base64") ? Buffer.from(data, "base64") : decodeURIComponent(data));
  const jwk = jwks.keys.find(({ kid }) => kid === header.kid);
  if (!jwk || header.alg !== provider.algorithm) {
    throw unauthorized(
      `Could not decode token. The JWT's 'kid' (key ID) header is '${header.kid}', does this key match ` +
        "any key in the provider's JWKS?",
    );
  }
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  const key = await webcrypto.subtle.importKey("jwk", jwk, curve, false, ["verify"]);
  const bytes = [Buffer.from(signature, "base64url"), Buffer.from(signed)];
  const ok = await webcrypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, ...bytes);
  if (!ok) throw unauthorized("Could not decode token.");
}
