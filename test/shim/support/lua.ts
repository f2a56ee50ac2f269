import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

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

/** Compiles `name` (such as `json.ts`) of src/shim/program and what it imports. */
export function compileLua(name: string): LuaModule {
  const folder = mkdtempSync(join(tmpdir(), "berth-lua-"));
  const project = join(folder, "tsconfig.json");
  writeFileSync(project, JSON.stringify(projectFor(name, folder)));
  execFileSync(process.execPath, [join(root, "node_modules/typescript-to-lua/dist/tstl.js"), "-p", project], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return {
    run: (script, args = [], input = "") => runLua(folder, script, args, input),
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true });
    },
  };
}

function projectFor(name: string, folder: string): object {
  return {
    extends: join(program, "tsconfig.json"),
    compilerOptions: {
      rootDir: join(root, "src"),
      outDir: folder,
      types: ["lua-types/jit", "@typescript-to-lua/language-extensions"].map((types) =>
        join(root, "node_modules", types),
      ),
    },
    tstl: { luaBundle: "module.lua", luaBundleEntry: join(program, name) },
    include: [join(program, "ffi/*.d.ts")],
    files: [join(program, name)],
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
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`luajit: ${stderr}`);
  return stdout;
}
