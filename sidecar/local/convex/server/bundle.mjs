/** Bundles the functions and convex-test into one module graph, so that there is one convex/server in it. */
import esbuild from "esbuild";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const SOURCE = /(?<!\.d|\.test|\.config)\.(ts|tsx|js|mjs)$/;

/** Returns the modules by the names that Convex gives them, the schema, the auth providers and convex-test. */
export async function bundle({ dir, bundle }) {
  const root = path.resolve(dir);
  const out = bundle ? path.resolve(bundle) : temporaryFolder();
  const entries = entryPoints(root);
  const options = {
    entryPoints: { ...entries, __library: "local:library" },
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error",
    absWorkingDir: path.dirname(root),
    plugins: [libraryPlugin],
  };
  await esbuild.build(options).catch(() => process.exit(1)); // it has printed what is wrong
  const load = (name) => import(pathToFileURL(path.join(out, `${name}.mjs`)).href);
  const names = Object.keys(entries).map((entry) => entry.slice("functions/".length));
  return {
    modules: Object.fromEntries(names.map((name) => [`./${name}.js`, () => load(`functions/${name}`)])),
    schema: (await load("functions/schema")).default,
    authProviders: names.includes("auth.config")
      ? (await load("functions/auth.config")).default.providers
      : [],
    library: await load("__library"),
  };
}

function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sidecar-convex-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function entryPoints(root) {
  const files = fs.readdirSync(root, { recursive: true }).map((file) => file.replaceAll("\\", "/"));
  const sources = files.filter((file) => SOURCE.test(file) && !file.includes("node_modules/"));
  if (files.includes("auth.config.ts")) sources.push("auth.config.ts");
  return Object.fromEntries(
    sources.map((file) => [`functions/${file.replace(/\.[^.]+$/, "")}`, path.join(root, file)]),
  );
}

/** convex-test does not export its database, which prefixes.mjs must reach. */
const libraryPlugin = {
  name: "library",
  setup(build) {
    const entry = require.resolve("convex-test");
    const source = fs.readFileSync(entry, "utf8").replaceAll("import.meta.glob", "(() => ({}))");
    const contents = `${source}
      export { DatabaseFake };
      export { convexToJson, jsonToConvex } from "convex/values";`;
    build.onResolve({ filter: /^local:library$/ }, ({ path }) => ({ path, namespace: "local" }));
    build.onLoad({ filter: /.*/, namespace: "local" }, () => ({
      contents,
      resolveDir: path.dirname(entry),
      loader: "js",
    }));
  },
};
