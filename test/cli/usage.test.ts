import assert from "node:assert/strict";
import { createServer } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Berth } from "./berth.ts";

const nowhere = new Berth({ socket: "/no/such/berth.sock" });

for (const [args, expected] of [
  [[], /no command given; see berth --help/],
  [["imgaes"], /unknown command "imgaes"; did you mean images\?/],
  [["frobnicate"], /unknown command "frobnicate"; see berth --help/],
  [["ps", "--al"], /unknown option --al; did you mean --all\?/],
  [["exec", "box"], /too few arguments; usage: berth exec CONTAINER COMMAND/],
  [["version", "x"], /too many arguments; usage: berth version/],
  [["help", "psx"], /unknown command "psx"; did you mean ps\?/],
] as const) {
  test(`usage: berth ${args.join(" ")} is refused with status 2`, async () => {
    const { status, stdout, stderr } = await nowhere.run(args);
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, expected);
  });
}

for (const args of [
  ["--help"],
  ["help"],
  ["ps", "--help"],
  ["help", "ps"],
  ["--help", "ps"],
  ["--version"],
]) {
  test(`usage: berth ${args.join(" ")} needs no daemon`, async () => {
    const { status, stdout, stderr } = await nowhere.run(args);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, args.includes("ps") ? /^Usage: berth ps/ : /berth/);
  });
}

test("usage: where nobody serves, the reason is said, also as JSON", async () => {
  const { status, stderr } = await nowhere.run(["ps"]);
  assert.equal(status, 1);
  assert.match(stderr, /^berth: no daemon at \/no\/such\/berth\.sock: there is no such socket/);
  const { stderr: json } = await nowhere.run(["ps", "--json"]);
  const { error } = JSON.parse(json) as { error: { code: string; message: string } };
  assert.equal(error.code, "unavailable");
});

test("usage: a dead socket and a file are told apart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-usage-"));
  try {
    const file = join(folder, "file");
    writeFileSync(file, "");
    assert.match((await new Berth({ socket: file }).run(["ps"])).stderr, /nobody listens|not a socket/);
    const socket = join(folder, "other.sock");
    const server = createServer((connection) => {
      connection.on("error", () => undefined);
      connection.end("HTTP/1.1 400 no\r\n\r\n");
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const { status } = await new Berth({ socket }).run(["version"]);
    server.close();
    assert.equal(status, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
