import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { referencePages } from "../../hack/reference-pages.ts";
import { flagOf, settings } from "../../src/config/index.ts";
import { probedCalls } from "../../src/sys/index.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

for (const [path, text] of referencePages()) {
  test(`docs: ${path} says what the code says; else run hack/reference-pages.ts`, () => {
    assert.equal(read(path), text);
  });
}

test("docs: every setting is there with its flag and default", () => {
  const page = read("docs/config.md");
  for (const setting of Object.values(settings)) {
    const section = page.split(`## \`${setting.key}\`\n`)[1]?.split("\n## ")[0] ?? "";
    assert.ok(section.includes(`\`${flagOf(setting)} `), setting.key);
    assert.ok(section.includes(`Default: \`${JSON.stringify(setting.fallback)}\``), setting.key);
  }
});

test("docs: the README names every system call that is looked for", () => {
  const readme = read("README.md");
  for (const call of probedCalls) assert.match(readme, new RegExp(`\\b${call}\\b`));
});

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...markdown("docs").map((name) => `docs/${name}`),
  ...markdown("docs/dev").map((name) => `docs/dev/${name}`),
];

function markdown(folder: string): string[] {
  return readdirSync(join(root, folder)).filter((name) => name.endsWith(".md"));
}

for (const page of pages) {
  test(`docs: the links of ${page} lead somewhere`, () => {
    for (const [, target = ""] of read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(root, dirname(page), target)), `${page}: ${target}`);
    }
  });
}

for (const [index, folder] of [
  ["docs/README.md", "docs"],
  ["docs/dev/architecture.md", "docs/dev"],
] as const) {
  test(`docs: ${index} leads to every page beside it`, () => {
    const text = read(index);
    const missing = markdown(folder)
      .filter((name) => join(folder, name) !== index)
      .filter((name) => !text.includes(`](${name})`));
    assert.deepEqual(missing, []);
  });
}
