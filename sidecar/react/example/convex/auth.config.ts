/** Two providers: the sidecar's, as `sidecar convex install` writes it, and the application's own for its viewers. */
import type { AuthConfig } from "convex/server";

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
    {
      type: "customJwt",
      applicationID: process.env.VIEWER_JWT_AUDIENCE!,
      issuer: process.env.VIEWER_JWT_ISSUER!,
      jwks: process.env.VIEWER_JWKS_DATA_URI!,
      algorithm: "ES256",
    },
  ],
} satisfies AuthConfig;
