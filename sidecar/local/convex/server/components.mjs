/** Which components an application uses, as its convex.config.ts says, and what each sees of the environment. */
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { run } from "./build.mjs";

const CONFIG = "convex.config.ts";
const SYSTEM_VARIABLES = ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"];

/** Returns { path, dir, environment } of each component, parents before children; a path is "parent/child". */
export async function discover(root, out) {
  if (!fs.existsSync(path.join(root, CONFIG))) return [];
  const outfile = path.join(out, "convex.config.mjs");
  await run({ entryPoints: [path.join(root, CONFIG)], outfile, plugins: [definitions] });
  const { default: application } = await import(pathToFileURL(outfile).href);
  return childrenOf(application, "", (name) => process.env[name]);
}

/** `variable` reads what the parent sees. */
function childrenOf(parent, parentPath, variable) {
  parent.export(); // throws where Convex would
  return parent._childComponents.flatMap(([name, { componentDefinitionPath, definition }, bindings]) => {
    if (!/^[A-Za-z]\w*$/.test(name)) throw new Error(`Component name ${name} is not an identifier.`);
    const componentPath = parentPath ? `${parentPath}/${name}` : name;
    const environment = environmentOf(definition, bindings ?? {}, variable, componentPath);
    const here = { path: componentPath, dir: componentDefinitionPath, environment };
    return [here, ...childrenOf(definition, componentPath, (key) => environment[key])];
  });
}

/** A component sees what it declares and its parent gives; a reference to a variable is read when it is used. */
function environmentOf({ _env: declared, _name }, bindings, variable, componentPath) {
  const wrong = (text) => new Error(`The component ${componentPath} (${_name}): ${text}`);
  const unknown = Object.keys(bindings).find((key) => !(key in declared));
  if (unknown !== undefined) throw wrong(`it declares no environment variable ${unknown}.`);
  const missing = Object.keys(declared).find(
    (key) => declared[key].isOptional !== "optional" && !(key in bindings),
  );
  if (missing !== undefined) throw wrong(`its environment variable ${missing} is required.`);
  const environment = {};
  for (const name of SYSTEM_VARIABLES) define(environment, name, () => process.env[name]);
  for (const [name, value] of Object.entries(bindings)) {
    define(environment, name, () => (typeof value === "string" ? value : variable(value.__envVarRef)));
  }
  return environment;
}

const define = (object, name, get) => Object.defineProperty(object, name, { get, enumerable: true, configurable: true });

/** What makes `process.env` of a component's bundle its own environment, at import and later. */
export function defineEnvironment(componentPath, environment) {
  const name = `__environmentOf_${componentPath.replaceAll("/", "_in_")}`;
  globalThis[name] = environment;
  return { "process.env": name, "globalThis.process.env": name };
}

/** An imported definition is, to whom uses it, its folder and its name; Convex does the same. */
const definitions = {
  name: "definitions",
  setup(build) {
    build.onResolve({ filter: /convex\.config/ }, async ({ path: asked, kind, resolveDir, pluginData }) => {
      if (kind === "entry-point" || pluginData === "definition") return undefined;
      const candidates = [asked, asked.replace(/\.js$/, ".ts"), `${asked}.ts`, `${asked}.js`];
      for (const candidate of candidates) {
        const found = await build.resolve(candidate, { kind, resolveDir, pluginData: "definition" });
        if (found.errors.length === 0) return { path: found.path, namespace: "used" };
      }
      return undefined;
    });
    build.onLoad({ filter: /.*/, namespace: "used" }, ({ path: file }) => ({
      contents: `
        import definition from ${JSON.stringify(file)};
        const componentDefinitionPath = ${JSON.stringify(path.dirname(file))};
        export default { componentDefinitionPath, defaultName: definition._name, definition };`,
      resolveDir: path.dirname(file),
      pluginData: "definition",
    }));
  },
};
