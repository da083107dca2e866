/** What your own backend answers in production, `sidecar demo --open` or `sidecar dev DIR --open` answers here. */
import { defineConfig } from "vite";

const backend = { target: "http://127.0.0.1:9746", changeOrigin: true };
export default defineConfig({
  esbuild: { jsx: "automatic" },
  server: { proxy: { "/settings.json": backend, "/token": backend } },
});
