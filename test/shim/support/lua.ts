import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../../..");
const program = join(root, "src/shim/program");

/** A module of the shim's program, compiled for LuaJIT by itself. */
export interface LuaModule extends Disposable {
  /**
   * Runs `script`, where `module` is the module's exports and `...` are `args`, with `input` as standard input, the
   * JIT off as in the shim; returns what it printed, throws with what it said when it fails.
   */
  run(script: string, args?: readonly string[], input?: string): string;
}

/** Compiles files of src/shim/program (such as `json.ts`) and what they import into one module with all their exports. */
export function compileLua(...names: readonly string[]): LuaModule {
  const folder = mkdtempSync(join(tmpdir(), "berth-lua-"));
  const project = join(folder, "tsconfig.json");
  const entry = join(folder, "entry.ts");
  writeFileSync(
    entry,
    names.map((name) => `export * from "${relative(folder, join(program, name))}";\n`).join(""),
  );
  writeFileSync(project, JSON.stringify(projectFor(entry, folder, names)));
  const tstl = join(root, "node_modules/typescript-to-lua/dist/tstl.js");
  const { status, stdout } = spawnSync(process.execPath, [tstl, "-p", project], { encoding: "utf8" });
  if (status !== 0) {
    rmSync(folder, { recursive: true });
    throw new Error(`tstl: ${stdout}`);
  }
  return {
    run: (script, args = [], input = "") => runLua(folder, script, args, input),
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true });
    },
  };
}

function projectFor(entry: string, folder: string, names: readonly string[]): object {
  return {
    extends: join(program, "tsconfig.json"),
    compilerOptions: {
      rootDir: "/",
      outDir: folder,
      types: ["lua-types/jit", "@typescript-to-lua/language-extensions"].map((types) =>
        join(root, "node_modules", types),
      ),
    },
    tstl: { luaBundle: "module.lua", luaBundleEntry: entry },
    // The option noImplicitSelf holds for the project's own files alone, not for what they import.
    include: ["ffi", ...names.map((name) => dirname(name))]
      .filter((name) => name !== ".")
      .map((name) => join(program, name)),
    exclude: [join(program, "**/*.test.ts")],
    files: [entry],
  };
}

function runLua(folder: string, script: string, args: readonly string[], input: string): string {
  const main = join(folder, "main.lua");
  const modulePath = JSON.stringify(join(folder, "module.lua"));
  writeFileSync(main, `jit.off() local module = dofile(${modulePath})\n${script}\n`);
  const { status, stdout, stderr, error } = spawnSync("luajit", [main, ...args], {
    input,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    // A loop without an end.
    timeout: 120_000,
    killSignal: "SIGKILL",
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`luajit: ${stderr}`);
  return stdout;
}
