import convexPlugin from "@convex-dev/eslint-plugin";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["convex/_generated/**"] },
  ...tseslint.configs.strictTypeChecked,
  ...convexPlugin.configs.recommended,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // `env` of _generated/server needs a convex.config.ts, which many projects do not have
      "@convex-dev/no-process-env": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // auth.config.ts: Convex itself refuses the push when one of these variables is missing
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      // handlers and rules of access are async by their signature
      "@typescript-eslint/require-await": "off",
    },
  },
);
