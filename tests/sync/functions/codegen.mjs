/**
 * Writes what Convex's codegen would write into the component's `_generated`; codegen itself wants a deployment.
 * The texts of types are Convex's own, from its validators. Run as
 *
 *     node codegen.mjs COMPONENT NODE_MODULES > files.json
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [component, nodeModules] = process.argv.slice(2).map((folder) => path.resolve(folder));
const load = (file) => import(pathToFileURL(path.join(nodeModules, file)).href);
const templates = "convex/dist/esm/cli/codegen_templates";
const { validatorToType } = await load(`${templates}/validator_helpers.js`);
const { componentServerTS } = await load(`${templates}/component_server.js`);
const { header, compareModulePaths } = await load(`${templates}/common.js`);
const { default: esbuild } = await load("esbuild/lib/main.js");

/** Stands in for what is to be generated. */
const ungenerated = {
  name: "ungenerated",
  setup(build) {
    build.onResolve({ filter: /_generated\// }, ({ path }) => ({ path, namespace: "ungenerated" }));
    build.onLoad({ filter: /.*/, namespace: "ungenerated" }, () => ({
      contents: `
        import { anyApi, internalMutationGeneric, internalQueryGeneric, mutationGeneric, queryGeneric } from "convex/server";
        export { internalMutationGeneric as internalMutation, internalQueryGeneric as internalQuery };
        export { mutationGeneric as mutation, queryGeneric as query, anyApi as internal };`,
      resolveDir: component,
    }));
  },
};

const modules = fs
  .readdirSync(component, { recursive: true })
  .filter((file) => file.endsWith(".ts") && !/^_generated|^schema\.ts$|\.config\.ts$/.test(file))
  .map((file) => file.replace(/\.ts$/, ""))
  .sort(compareModulePaths);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "codegen-"));
try {
  const files = { "api.ts": api(), "component.ts": await types(), "dataModel.ts": dataModel(), "server.ts": server() };
  console.log(JSON.stringify(files));
} finally {
  fs.rmSync(folder, { recursive: true });
}

function api() {
  const identifier = (name) => name.replace(/\W/g, "_");
  return `/* eslint-disable */
${headed("Generated `api` utility.")}

${modules.map((name) => `import type * as ${identifier(name)} from "../${name}.js";`).join("\n")}

import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";
import { anyApi, componentsGeneric } from "convex/server";

const fullApi: ApiFromModules<{
${modules.map((name) => `  "${name}": typeof ${identifier(name)};`).join("\n")}
}> = anyApi as any;

export const api: FilterApi<typeof fullApi, FunctionReference<any, "public">> = anyApi as any;
export const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">> = anyApi as any;

export const components = componentsGeneric() as unknown as {};
`;
}

async function types() {
  const entryPoints = Object.fromEntries(modules.map((name) => [name, path.join(component, `${name}.ts`)]));
  const options = { bundle: true, format: "esm", platform: "node", outExtension: { ".js": ".mjs" }, logLevel: "error" };
  await esbuild.build({ entryPoints, outdir: folder, nodePaths: [nodeModules], plugins: [ungenerated], ...options });
  const lines = [];
  for (const name of modules) lines.push(...(await linesOf(name)));
  return `/* eslint-disable */
${headed("Generated `ComponentApi` utility.")}

import type { FunctionReference } from "convex/server";

/** The component's functions, as whoever uses it calls them. */
export type ComponentApi<Name extends string | undefined = string | undefined> = {
${lines.join("\n")}
};
`;
}

/** A module's public functions; one in a folder would need another level. */
async function linesOf(name) {
  const exported = Object.entries(await import(pathToFileURL(path.join(folder, `${name}.mjs`)).href));
  const functions = exported.filter(([, one]) => one?.isPublic).sort(([a], [b]) => (a < b ? -1 : 1));
  if (functions.length === 0) return [];
  if (name.includes("/")) throw new Error(`a public function in ${name}`);
  return [`  ${name}: {`, ...functions.map(([name, one]) => `    ${name}: ${reference(one)};`), "  };"];
}

function reference(one) {
  const kind = one.isQuery ? "query" : one.isMutation ? "mutation" : "action";
  const type = (validator) => validatorToType(JSON.parse(validator), false);
  return `FunctionReference<"${kind}", "internal", ${type(one.exportArgs())}, ${type(one.exportReturns())}, Name>`;
}

function server() {
  return `${dedented(componentServerTS(false, []))}\n`;
}

function dataModel() {
  return `${headed("Generated data model types.")}

import type {
  DataModelFromSchemaDefinition,
  DocumentByName,
  SystemTableNames,
  TableNamesInDataModel,
} from "convex/server";
import type { GenericId } from "convex/values";
import schema from "../schema.js";

export type TableNames = TableNamesInDataModel<DataModel>;
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;
export type DataModel = DataModelFromSchemaDefinition<typeof schema>;
`;
}

function headed(what) {
  return dedented(header(what));
}

function dedented(text) {
  const lines = text.replace("/* eslint-disable */", "").replaceAll(/^ {2}/gm, "");
  return lines.replaceAll(/[ ]+$/gm, "").trim();
}
