/**
 * Serves a folder of Convex functions on this machine: Convex's HTTP API and its WebSocket sync
 * protocol in front of convex-test. A double for development and tests: nothing outlives the process.
 *
 *     node server.mjs --dir convex [--port 0] [--dev-auth] [--redact]
 *
 * The first line on stdout is {"url": ..., "adminKey": ...}.
 * Shapes and status codes follow the open-source backend (crates/local_backend, crates/errors).
 */
import { Backend } from "./server/backend.mjs";
import { bundle, loadLibrary } from "./server/bundle.mjs";
import { createHttpServer } from "./server/http.mjs";
import { Identities } from "./server/identities.mjs";
import { parseOptions } from "./server/options.mjs";
import { attachSync } from "./server/sync.mjs";

const options = parseOptions(process.argv.slice(2));
const library = await loadLibrary(options);
const functions = await bundle(options).catch((error) => {
  if (!error.errors) console.error(error.message); // those of the compiler are printed
  process.exit(1);
});
const backend = new Backend(functions, { library, options });
const identities = new Identities(functions.authProviders, options);
const server = createHttpServer({ backend, identities, options });
attachSync(server, { backend, identities, options });

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
server.listen(options.port, options.host, () => {
  const url = `http://${options.host}:${server.address().port}`;
  console.log(JSON.stringify({ url, adminKey: options.adminKey }));
});
