/** esbuild as the local server runs it. */
import esbuild from "esbuild";

/** Bundles. Throws if the sources do not compile, after esbuild has printed what is wrong. */
export async function run(options) {
  const common = {
    bundle: true,
    format: "esm",
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node20",
    logLevel: "error",
  };
  await esbuild.build({ ...common, ...options });
}
