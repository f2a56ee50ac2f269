import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "src/cri/types/", "**/*.js"] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: [] }, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", package: "node:test", name: ["test", "suite", "describe", "it"] },
          ],
        },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      "no-restricted-imports": [
        "error",
        { paths: [{ name: "ffi-rs", message: "Linux is reached through src/sys alone." }] },
      ],
    },
  },
  { files: ["src/sys/**/*.ts"], rules: { "no-restricted-imports": "off" } },
  {
    // Compiled to Lua: errors are plain tables, 0 and "" are true, the FFI is spoken in one folder alone.
    files: ["src/shim/program/**/*.ts", "src/shim/oci/**/*.ts"],
    rules: {
      "@typescript-eslint/only-throw-error": "off",
      // What is called without self says so: `this: void`.
      "@typescript-eslint/no-invalid-void-type": ["error", { allowAsThisParameter: true }],
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/strict-boolean-expressions": [
        "error",
        { allowString: false, allowNumber: false, allowNullableObject: true, allowNullableBoolean: true },
      ],
      "no-restricted-imports": [
        "error",
        {
          paths: [
            {
              name: "ffi",
              message: "the FFI is used through src/shim/program/ffi alone (and src/shim/oci/ffi).",
            },
          ],
        },
      ],
    },
  },
  {
    // Compiled to Lua as well.
    files: ["src/core/seccomp-plan.ts"],
    rules: { "@typescript-eslint/no-invalid-void-type": ["error", { allowAsThisParameter: true }] },
  },
  {
    files: ["src/shim/program/ffi/*.ts", "src/shim/oci/ffi/*.ts"],
    rules: {
      "no-restricted-imports": "off",
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
);
