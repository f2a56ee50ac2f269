import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import { compileLua } from "./support/lua.ts";

/** Reads documents, one a line; writes each again, or what was wrong with it. */
const roundTrip = `
for line in io.lines() do
  local ok, value = pcall(module.decode, line, 4096)
  if not ok then print("! " .. (type(value) == "table" and value.message or tostring(value)))
  else print(module.encode(value)) end
end`;

await suite("json", () => {
  const json = compileLua("json.ts");
  after(() => {
    json[Symbol.dispose]();
  });
  const echo = (documents: readonly string[]): string[] =>
    json
      .run(roundTrip, [], documents.map((line) => `${line}\n`).join(""))
      .trimEnd()
      .split("\n");

  test("json: a document survives decode and encode", () => {
    const documents: readonly unknown[] = [
      {},
      [],
      "",
      0,
      -1,
      1.5,
      1e21,
      2 ** 53,
      -(2 ** 53),
      5e-7,
      true,
      false,
      { a: [], b: {}, c: [[], [{}]], d: "x" },
      ["", "a", "ä€😀", '"', "\\", "\b\f\n\r\t", "\u0000\u0001\u001f\u007f", "/"],
      { "": 1, 'key with "quotes" and \\': { deep: [1, 2, { x: [true, false] }] } },
      { path: "/sys/fs/cgroup", args: ["sh", "-c", "echo $PATH\n"], limit: 9007199254740991 },
    ];
    const texts = echo(documents.map((document) => JSON.stringify(document)));
    for (const [index, document] of documents.entries()) {
      assert.deepEqual(JSON.parse(texts[index] ?? ""), document);
    }
  });

  const spellings: readonly (readonly [text: string, value: unknown])[] = [
    ['  {\t"a" : [ 1 , 2 ] }  ', { a: [1, 2] }],
    ['"\\u00e4\\u20ac\\ud83d\\ude00\\/"', "ä€😀/"],
    ['"\\ud83d!"', "\ufffd!"],
    ['"\\ude00"', "\ufffd"],
    ['"\\u0000"', "\u0000"],
    ["1E2", 100],
    ["-0.5e+1", -5],
    ["18446744073709551615", 2 ** 64],
    ['{"a":null,"b":1}', { b: 1 }],
    ["[{}]", [{}]],
    ["[[]]", [[]]],
  ];
  test("json: every spelling of a value is read", () => {
    const texts = echo(spellings.map(([text]) => text));
    for (const [index, [text, value]] of spellings.entries()) {
      assert.deepEqual(JSON.parse(texts[index] ?? ""), value, text);
    }
  });

  const malformed: readonly (readonly [text: string, problem: string])[] = [
    ["{", "the document ends early"],
    [" ", "the document ends early"],
    ["[1", "the document ends early"],
    ['{"a"}', 'expected ":" at byte 5'],
    ['{"a":1,}', "expected a key at byte 8"],
    ["{a:1}", "expected a key at byte 2"],
    ["[1,]", "unexpected character at byte 4"],
    ["[1 2]", 'expected "," or "]" at byte 4'],
    ['{"a":1 "b":2}', 'expected "," or "}" at byte 8'],
    ['{"a":1,"a":2}', 'key "a" comes twice, at byte 8'],
    ["[null]", "null in an array at byte 2"],
    ["01", "malformed number at byte 1"],
    ["-", "malformed number at byte 1"],
    ["1.", "text after the document at byte 2"],
    [".5", "unexpected character at byte 1"],
    ["1e999", "number out of range at byte 1"],
    ["nul", "unexpected character at byte 1"],
    ["NaN", "unexpected character at byte 1"],
    ['"abc', "text without an end, from byte 1"],
    ['"abc\\"', "text without an end, from byte 1"],
    ['"a\tb"', "control character in a text at byte 3"],
    ['"\\n\tb"', "control character in a text at byte 4"],
    ['"\\x"', "unknown escape at byte 2"],
    ['"\\u12g4"', "malformed \\u escape at byte 2"],
    ["{} x", "text after the document at byte 4"],
    ["[".repeat(65), "nested deeper than 64 at byte 65"],
    [`"${"x".repeat(4095)}"`, "4097 bytes are over the limit of 4096"],
  ];
  test("json: what is wrong is named with its place", () => {
    const texts = echo(malformed.map(([text]) => text));
    for (const [index, [text, problem]] of malformed.entries()) {
      assert.equal(texts[index], `! json: ${problem}`, text);
    }
  });

  test("json: what has no JSON is refused, an array stays one while it is empty", () => {
    const script = `
      local function try(value)
        local ok, result = pcall(module.encode, value)
        print(ok and result or result.message)
      end
      try(0/0) try(1/0) try(print) try({}) try(module.jsonArray({})) try({a = module.jsonArray({})}) try(nil)`;
    assert.deepEqual(json.run(script).trimEnd().split("\n"), [
      "json: nan cannot be written",
      "json: inf cannot be written",
      "json: a function cannot be written",
      "{}",
      "[]",
      '{"a":[]}',
      "null",
    ]);
  });
});
