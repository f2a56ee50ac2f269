import assert from "node:assert/strict";
import { test } from "node:test";
import { catalog, commandsByName } from "./catalog.ts";
import { helpOn, overview } from "./help.ts";

const commands = catalog.flatMap((group) => group.commands);

test("help: the overview has every command, and no two have one name", () => {
  const text = overview();
  for (const { name } of commands) assert.match(text, new RegExp(`^  ${name} `, "m"));
  assert.equal(commandsByName.size, commands.length);
});

for (const command of commands) {
  test(`help: ${command.name} names all its options and fits a terminal`, () => {
    const lines = helpOn(command).split("\n");
    for (const name of Object.keys(command.options)) {
      assert.ok(
        lines.some((line) => line.includes(`--${name}`)),
        name,
      );
    }
    for (const line of lines) assert.ok(line.length <= 100, line);
  });

  test(`help: ${command.name} gives no short name to two options`, () => {
    const letters = Object.values(command.options).flatMap(({ short }) => short ?? []);
    assert.equal(new Set([...letters, "h"]).size, letters.length + 1);
  });
}
