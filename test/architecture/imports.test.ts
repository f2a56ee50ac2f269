import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { arrows, folderOf, packageFiles } from "./arrows.ts";
import {
  findCycle,
  type Import,
  importsOf,
  isProduct,
  packageOf,
  readImports,
  sourceFiles,
  targetOf,
} from "./imports.ts";

const root = join(import.meta.dirname, "../..");
const productImports = sourceFiles(root, "src")
  .filter(isProduct)
  .flatMap((file) => readImports(root, file));

/** What an import does against the arrows, in words; undefined where it is allowed. */
function fault(one: Import): string | undefined {
  const from = folderOf(one.file);
  const rules = arrows[from ?? ""];
  if (from === undefined || rules === undefined) return "lies in no folder that arrows.ts knows";
  const target = targetOf(one);
  if (target !== undefined) return folderFault(one, from, target);
  if (one.specifier.startsWith("node:")) {
    const isAllowed = rules.builtins?.includes(one.specifier) ?? true;
    return isAllowed ? undefined : `imports ${one.specifier}: ${from} may not`;
  }
  const name = packageOf(one) ?? "";
  const isAllowed = rules.packages?.includes(name) === true && (packageFiles[name] ?? one.file) === one.file;
  return isAllowed ? undefined : `imports the package ${name}: ${from} may not`;
}

function folderFault(one: Import, from: string, target: string): string | undefined {
  const to = folderOf(target);
  if (to === from) return undefined;
  const { folders = [], types = [] } = arrows[from] ?? {};
  const doors = arrows[to ?? ""]?.doors ?? ["index.ts"];
  if (to === undefined) return `imports ${target}, outside of src`;
  if (!folders.includes(to) && !types.includes(to)) return `imports ${target}: ${from} may not use ${to}`;
  if (!folders.includes(to) && !one.isTypeOnly)
    return `imports ${target}: ${from} may use types of ${to} alone`;
  const door = posix.relative(to, target);
  return doors.includes("*") || doors.includes(door) ? undefined : `imports ${target} past ${to}/index.ts`;
}

function faults(imports: readonly Import[]): readonly string[] {
  return imports.flatMap((one) => {
    const found = fault(one);
    return found === undefined ? [] : [`${one.file} ${found}`];
  });
}

test("imports: every folder uses only what its arrows say", () => {
  assert.ok(productImports.length > 300, "the sources were found");
  assert.deepEqual(faults(productImports), []);
});

test("imports: there is no way around between folders", () => {
  const graph = new Map<string, Set<string>>();
  for (const one of productImports) {
    const target = targetOf(one);
    const [from, to] = [folderOf(one.file), target === undefined ? undefined : folderOf(target)];
    if (from === undefined || to === undefined || from === to) continue;
    graph.set(from, (graph.get(from) ?? new Set()).add(to));
  }
  assert.ok(graph.size >= 10, "the folders were found");
  assert.deepEqual(findCycle(graph), undefined);
});

test("imports: ffi-rs is loaded from src/sys alone, by tests and scripts too", () => {
  const users = ["src", "test", "hack"]
    .flatMap((folder) => sourceFiles(root, folder))
    .flatMap((file) => readImports(root, file))
    .filter((one) => packageOf(one) === "ffi-rs")
    .map(({ file }) => posix.dirname(file));
  assert.deepEqual([...new Set(users)], ["src/sys"]);
});

test("imports: the runtime's packages are those that package.json lists, each in use", () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const used = new Set(productImports.flatMap((one) => packageOf(one) ?? []));
  const lua = ["ffi", "bit"];
  assert.deepEqual(
    [...used].filter((name) => dependencies[name] === undefined && !lua.includes(name)),
    [],
  );
  // proto-loader brings its own; ours is pinned so that the two are one.
  const indirect = ["protobufjs"];
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !used.has(name) && !indirect.includes(name)),
    [],
  );
});

test("imports: the arrows themselves name folders that exist", () => {
  for (const [folder, { folders, types = [] }] of Object.entries(arrows)) {
    for (const other of [...folders, ...types])
      assert.ok(Object.hasOwn(arrows, other), `${folder} → ${other}`);
  }
});

test("imports: each kind of fault is found", () => {
  const table: readonly (readonly [string, string, RegExp | undefined])[] = [
    ["src/oci/a.ts", 'import { x } from "../core/errors.ts";', undefined],
    ["src/oci/a.ts", 'import "node:fs";', /node:fs/],
    ["src/oci/a.ts", 'import { x } from "../sys/index.ts";', /may not use src\/sys/],
    ["src/oci/a.ts", 'const x = await import("../sys/index.ts");', /may not use src\/sys/],
    ["src/oci/a.ts", 'export * from "../../test/x.ts";', /outside of src/],
    ["src/store/a.ts", 'type T = import("../cri/index.ts").T;', /may not use src\/cri/],
    ["src/sandbox/a.ts", 'import { x } from "../oci/user.ts";', /past src\/oci\/index.ts/],
    ["src/sandbox/a.ts", 'import x from "undici";', /package undici/],
    ["src/daemon.ts", 'import x from "winston";', /package winston/],
    ["src/logging.ts", 'import x from "winston";', undefined],
    ["src/shim/program/a.ts", 'import type { Spec } from "../../core/oci-runtime-spec.ts";', undefined],
    [
      "src/shim/program/a.ts",
      'import { Spec } from "../../core/oci-runtime-spec.ts";',
      /types of src\/core alone/,
    ],
    [
      "src/shim/program/a.ts",
      'import { type Spec } from "../../core/oci-runtime-spec.ts";',
      /types of src\/core alone/,
    ],
    ["src/shim/program/a.ts", 'import { join } from "node:path";', /node:path/],
    ["src/new/a.ts", 'import "../core/errors.ts";', /no folder/],
  ];
  for (const [file, text, expected] of table) {
    const [found] = faults(importsOf(file, text));
    if (expected === undefined) assert.equal(found, undefined, text);
    else assert.match(found ?? "nothing found", expected, text);
  }
  const around = new Map([
    ["a", new Set(["b"])],
    ["b", new Set(["c", "d"])],
    ["d", new Set(["b"])],
  ]);
  assert.deepEqual(findCycle(around), ["b", "d", "b"]);
});

test("repository: no file tells where it was written", (context) => {
  let listed: string;
  try {
    listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
      cwd: root,
      encoding: "utf8",
    });
  } catch (error) {
    context.skip(`no git checkout: ${(error as Error).message}`);
    return;
  }
  // Put together here, or this file would find itself.
  const words = [
    ["..", "shared"],
    ["", "work", "main"],
    ["", "work", "shared"],
  ].map((parts) => parts.join("/"));
  words.push(["registry", "npmjs", "org"].join("."));
  const telling = listed
    .split("\0")
    .filter((file) => file !== "")
    .flatMap((file) => {
      const text = readIfPresent(join(root, file));
      return words.filter((word) => text.includes(word)).map((word) => `${file}: ${word}`);
    });
  assert.deepEqual(telling, []);
});

/** A file that was listed may be gone since: someone is at work. */
function readIfPresent(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
