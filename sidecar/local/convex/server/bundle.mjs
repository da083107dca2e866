/** Bundles the functions of the application and of its components; convex-test is in the application's graph. */
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { run } from "./build.mjs";
import { defineEnvironment, discover } from "./components.mjs";

const require = createRequire(import.meta.url);
const SOURCE = /(?<!\.d|\.test|\.config)\.(ts|tsx|js|mjs)$/;

/**
 * Returns { components, authProviders, library }. A component is { path, modules, schema }: the
 * application's path is "", its modules have the names that Convex gives them.
 */
export async function bundle({ dir, bundle }) {
  const root = path.resolve(dir);
  const out = bundle ? path.resolve(bundle) : temporaryFolder();
  const application = await build(root, out, "application", { __library: "local:library" });
  const library = await application.load("__library");
  const components = [{ path: "", ...(await application.component()) }];
  for (const { path, dir, environment } of await discover(root, out)) {
    const define = defineEnvironment(path, environment);
    components.push({ path, ...(await (await build(dir, out, `components/${path}`, {}, define)).component()) });
  }
  return { components, library, authProviders: (await application.loadOptional("auth.config"))?.providers ?? [] };
}

/** Bundles one folder of functions, as Convex does: what two components import, each of them has for itself. */
async function build(root, out, folder, others = {}, define = {}) {
  const names = moduleNames(root);
  const entries = [...names].map(([name, file]) => [`functions/${name}`, path.join(root, file)]);
  await run({
    entryPoints: { ...Object.fromEntries(entries), ...others },
    outdir: path.join(out, folder),
    absWorkingDir: path.dirname(root),
    splitting: true,
    plugins: [libraryPlugin],
    define,
  });
  const load = (name) => import(pathToFileURL(path.join(out, folder, `${name}.mjs`)).href);
  const loadOptional = async (name) => (names.has(name) ? (await load(`functions/${name}`)).default : undefined);
  const component = async () => ({
    modules: {
      "./_generated/root.js": undefined, // where convex-test looks for the root
      ...Object.fromEntries([...names.keys()].map((name) => [`./${name}.js`, () => load(`functions/${name}`)])),
    },
    schema: (await loadOptional("schema")) ?? null,
  });
  return { load, loadOptional, component };
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

/** convex-test does not export its database and its transactions, which prefixes.mjs and tap.mjs must reach. */
const libraryPlugin = {
  name: "library",
  setup(build) {
    const entry = require.resolve("convex-test");
    const source = fs.readFileSync(entry, "utf8").replaceAll("import.meta.glob", "(() => ({}))");
    const contents = `${source}
      export { DatabaseFake, TransactionManager, getCurrentComponentPath, getFunctionPathFromAddress };
      export { convexToJson, jsonToConvex } from "convex/values";`;
    build.onResolve({ filter: /^local:library$/ }, ({ path }) => ({ path, namespace: "local" }));
    build.onLoad({ filter: /.*/, namespace: "local" }, () => ({
      contents,
      resolveDir: path.dirname(entry),
      loader: "js",
    }));
  },
};
