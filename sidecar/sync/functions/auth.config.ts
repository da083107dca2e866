/**
 * How Convex knows a sidecar: a five-minute ES256 JWT, of which Convex holds only the public keys.
 * `sidecar convex keys new` makes a key and prints the values of the three environment variables.
 */
import type { AuthConfig } from "convex/server";

/** Convex's environment variables; declared here for projects without @types/node. */
declare const process: { env: Record<string, string | undefined> };

export default {
  providers: [
    {
      type: "customJwt",
      applicationID: process.env.SIDECAR_JWT_AUDIENCE!,
      issuer: process.env.SIDECAR_JWT_ISSUER!,
      jwks: process.env.SIDECAR_JWKS_DATA_URI!,
      algorithm: "ES256",
    },
  ],
} satisfies AuthConfig;
