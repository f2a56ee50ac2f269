import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const root = resolve(import.meta.dirname, "../..");
const program = join(root, "src/shim/program");

/** What may come along from outside of the program's own folder: types (which compile to nothing) and plain numbers. */
const fromElsewhere = [
  "core.oci-runtime-spec",
  "lualib_bundle",
  "shim.protocol.frame",
  "shim.protocol.launch",
  "shim.protocol.messages",
];

let folder: string;
let bundle: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-bundle-"));
  const tstl = join(root, "node_modules/typescript-to-lua/dist/tstl.js");
  const project = join(program, "tsconfig.json");
  const built = spawnSync(process.execPath, [tstl, "-p", project, "--outDir", folder], { encoding: "utf8" });
  assert.equal(built.status, 0, built.stdout);
  bundle = readFileSync(join(folder, "berth-shim.lua"), "utf8");
});
after(() => {
  rmSync(folder, { recursive: true });
});

test("bundle: the program's own modules and the few it shares, nothing else", () => {
  const modules = [...bundle.matchAll(/^\["([^"]+)"\] = function/gm)].map(([, name = ""]) => name);
  const own = readdirSync(program, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))
    .map((path) => `shim.program.${path.slice(0, -".ts".length).replaceAll("/", ".")}`);
  assert.deepEqual(modules.toSorted(), [...fromElsewhere, ...own].toSorted());
});

test("bundle: no module is asked for that is not in it, but for the FFI", () => {
  const asked = new Set([...bundle.matchAll(/require\("([^"]+)"\)/g)].map(([, name = ""]) => name));
  for (const name of asked) {
    assert.ok(name === "ffi" || bundle.includes(`["${name}"] = function`), name);
  }
});

test("bundle: types leave nothing behind", () => {
  assert.match(
    bundle,
    /\["core\.oci-runtime-spec"\] = function\(\.\.\.\) \nlocal ____exports = \{\}\nreturn ____exports\n end/,
  );
  assert.doesNotMatch(bundle, /require\("core\./);
});

test("bundle: the compiler's helpers are these and no more: each is memory in every shim", () => {
  const helpers = [...bundle.matchAll(/^ {2}(__TS__\w+) = __TS__/gm)].map(([, name = ""]) => name);
  assert.deepEqual(helpers.toSorted(), knownHelpers);
});

const knownHelpers = [
  "__TS__ArrayEvery",
  "__TS__ArrayFilter",
  "__TS__ArrayFind",
  "__TS__ArrayFindIndex",
  "__TS__ArrayForEach",
  "__TS__ArrayIncludes",
  "__TS__ArrayIndexOf",
  "__TS__ArrayMap",
  "__TS__ArrayPush",
  "__TS__ArrayPushArray",
  "__TS__ArraySome",
  "__TS__ArraySort",
  "__TS__Class",
  "__TS__New",
  "__TS__Number",
  "__TS__NumberToFixed",
  "__TS__ObjectAssign",
  "__TS__ParseInt",
  "__TS__SetDescriptor",
  "__TS__SparseArrayNew",
  "__TS__SparseArrayPush",
  "__TS__SparseArraySpread",
  "__TS__StringIncludes",
  "__TS__StringSplit",
  "__TS__StringStartsWith",
  "__TS__StringSubstring",
];
