/** Bundles the functions of the application and of its components, and what runs them. */
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { run } from "./build.mjs";
import { defineEnvironment, discover } from "./components.mjs";

const require = createRequire(import.meta.url);
const SOURCE = /(?<!\.d|\.test|\.config)\.(ts|tsx|js|mjs)$/;

let bundles = 0;

/**
 * Returns { components, authProviders }. A component is { path, modules, schema }: the application's path
 * is "", its modules have the names that Convex gives them. Each call bundles anew. Throws what is wrong.
 */
export async function bundle({ dir, bundle }) {
  const root = path.resolve(dir);
  const out = path.join(bundle ? path.resolve(bundle) : temporaryFolder(), String(++bundles));
  const application = await build(root, path.join(out, "application"));
  const components = [{ path: "", ...(await application.component()) }];
  for (const { path: name, dir, environment } of await discover(root, out)) {
    const built = await build(dir, path.join(out, "components", name), defineEnvironment(name, environment));
    components.push({ path: name, ...(await built.component()) });
  }
  return { components, authProviders: (await application.load("auth.config"))?.providers ?? [] };
}

/** convex-test, its database and its transactions, which it does not export, and the codec of values. */
export async function loadLibrary({ bundle }) {
  shared = path.join(bundle ? path.resolve(bundle) : temporaryFolder(), "shared");
  const entryPoints = { library: "local:library", server: "convex/server", values: "convex/values" };
  await run({ entryPoints, outdir: shared, splitting: true, plugins: [libraryPlugin] });
  return await import(urlOfShared("library"));
}

/** There is one convex/server, so that an error that one function throws is a ConvexError to another. */
let shared;
const urlOfShared = (name) => pathToFileURL(path.join(shared, `${name}.mjs`)).href;
const sharedPlugin = {
  name: "shared",
  setup(build) {
    build.onResolve({ filter: /^convex\/(server|values)$/ }, ({ path: name }) => ({
      path: urlOfShared(name.slice("convex/".length)),
      external: true,
    }));
  },
};

/** Bundles one folder of functions: what two components import of others, each of them has for itself. */
async function build(root, outdir, define = {}) {
  const names = moduleNames(root);
  const entryPoints = Object.fromEntries([...names].map(([name, file]) => [name, path.join(root, file)]));
  await run({ entryPoints, outdir, absWorkingDir: path.dirname(root), splitting: true, plugins: [sharedPlugin], define });
  const module = (name) => import(pathToFileURL(path.join(outdir, `${name}.mjs`)).href);
  const load = async (name) => (names.has(name) ? (await module(name)).default : undefined);
  const component = async () => ({
    modules: {
      "./_generated/root.js": undefined, // where convex-test looks for the root
      ...Object.fromEntries([...names.keys()].map((name) => [`./${name}.js`, () => module(name)])),
    },
    schema: (await load("schema")) ?? null,
  });
  return { load, component };
}

function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sidecar-convex-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Names of modules and their files; folders with a convex.config.ts are components of their own. */
function moduleNames(root) {
  const files = fs.readdirSync(root, { recursive: true }).map((file) => file.replaceAll("\\", "/"));
  const nested = files.filter((file) => file.endsWith("/convex.config.ts")).map((file) => path.posix.dirname(file));
  const sources = files.filter((file) => SOURCE.test(file) && !file.includes("node_modules/"));
  if (files.includes("auth.config.ts")) sources.push("auth.config.ts");
  const own = sources.filter((file) => !nested.some((folder) => file.startsWith(`${folder}/`)));
  return new Map(own.map((file) => [file.replace(/\.[^.]+$/, ""), file]));
}

const libraryPlugin = {
  name: "library",
  setup(build) {
    const entry = require.resolve("convex-test");
    const source = fs.readFileSync(entry, "utf8").replaceAll("import.meta.glob", "(() => ({}))");
    const contents = `${source}
      export { DatabaseFake, TransactionManager, getCurrentComponentPath, getDb, getFunctionPathFromAddress };
      export { convexToJson, jsonToConvex } from "convex/values";`;
    build.onResolve({ filter: /^local:library$/ }, ({ path }) => ({ path, namespace: "local" }));
    build.onLoad({ filter: /.*/, namespace: "local" }, () => ({
      contents,
      resolveDir: path.dirname(entry),
      loader: "js",
    }));
  },
};
