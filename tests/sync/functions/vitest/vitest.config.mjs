import { defineConfig } from "vitest/config";

export default defineConfig({
  cacheDir: ".vitest", // node_modules is shared
  test: { include: ["convex/*.test.ts"], pool: "threads", fileParallelism: false }, // processes cost a quarter more
});
