/** The command line. Numbers are milliseconds unless their name says otherwise. */
import { parseArgs } from "node:util";

export function parseOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      dir: { type: "string", default: "convex" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "0" },
      bundle: { type: "string" }, // where the bundle goes; default: a temporary folder, removed at the end
      "admin-key": { type: "string", default: "local|admin" },
      "scoped-key": { type: "string", multiple: true, default: [] }, // <key>=RunInternalMutations,...
      "dev-auth": { type: "boolean", default: false }, // no Authorization means the sidecar of the arguments
      redact: { type: "boolean", default: false }, // errors as in production
      "exec-ms": { type: "string", default: "0" }, // time between a mutation's reads and its commit: lets it conflict
      "occ-retries": { type: "string", default: "4" },
      "occ-backoff-ms": { type: "string", default: "100" },
      "mutation-permits": { type: "string", default: "16" },
      "permit-timeout-ms": { type: "string", default: "5000" },
    },
  });
  return {
    dir: values.dir,
    bundle: values.bundle,
    host: values.host,
    port: Number(values.port),
    adminKey: values["admin-key"],
    scopedKeys: new Map(values["scoped-key"].map(scopedKey)),
    devAuth: values["dev-auth"],
    redact: values.redact,
    execMs: Number(values["exec-ms"]),
    occRetries: Number(values["occ-retries"]),
    occBackoffMs: Number(values["occ-backoff-ms"]),
    mutationPermits: Number(values["mutation-permits"]),
    permitTimeoutMs: Number(values["permit-timeout-ms"]),
  };
}

function scopedKey(text) {
  const at = text.lastIndexOf("=");
  return [text.slice(0, at), new Set(text.slice(at + 1).split(","))];
}
