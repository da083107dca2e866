/** Vite serves /settings.json and /token from your own backend in production; here `sidecar demo --open` can be asked. */
import { defineConfig } from "vite";

const backend = "http://127.0.0.1:4173"; // the address that `sidecar demo --open` prints
export default defineConfig({
  esbuild: { jsx: "automatic" },
  server: { proxy: { "/settings.json": backend, "/token": backend } },
});
