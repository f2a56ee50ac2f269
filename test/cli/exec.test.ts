import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { makeTestImage, testImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { Berth, ended, untilText } from "./berth.ts";

let world: World;
let daemon: TestDaemon;
let berth: Berth;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  berth = new Berth(daemon);
  await berth.must("run", "--name", "box", testImage, "sh", "-c", "while :; do sleep 3600; done");
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

for (const [args, status, stdout, stderr] of [
  [["true"], 0, "", ""],
  [["sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\n", "err\n"],
  [["sh", "-c", "kill -KILL $$"], 137, "", ""],
  [["echo", "-n", "--help", "-it"], 0, "--help -it", ""],
  [["cat"], 0, "", ""],
  [["--", "hostname"], 0, "box\n", ""],
] as const) {
  test(`exec: ${args.join(" ")}`, async () => {
    assert.deepEqual(await berth.run(["exec", "box", ...args]), { status, stdout, stderr });
  });
}

test("exec: a command that is not there", async () => {
  const { status, stderr } = await berth.run(["exec", "box", "/no/such/command"]);
  assert.ok(status !== 0);
  assert.match(stderr, /\/no\/such\/command/);
});

test("exec: input comes whole and its end is seen", async () => {
  const input = "some line of text\n".repeat(100_000);
  const result = await berth.run(["exec", "-i", "box", "md5sum"], input);
  const expected = await berth.run(["exec", "-i", "box", "sh", "-c", "cat | md5sum"], input);
  assert.equal(result.stdout, expected.stdout);
  const count = await berth.run(["exec", "-i", "box", "wc", "-c"], input);
  assert.equal(Number(count.stdout), input.length);
});

test("exec: output comes whole", async () => {
  const { stdout } = await berth.run(["exec", "box", "sh", "-c", "yes | head -c 5000000"]);
  assert.equal(stdout.length, 5_000_000);
});

test("exec: a command that is interrupted here ends there", async () => {
  const child = berth.start("exec", "box", "sh", "-c", "echo $$; exec sleep 12345");
  await untilText(child.stdout, /\n/);
  child.kill("SIGINT");
  assert.equal((await ended(child)).status, 130);
  for (let tries = 0; tries < 100; tries++) {
    const { stdout } = await berth.run(["exec", "box", "ps"]);
    if (!stdout.includes("12345")) return;
  }
  assert.fail("sleep 12345 goes on");
});

test("exec: with a terminal, the command has one of this one's size, and keys go through", async () => {
  const child = berth.startOnTerminal("exec", "-it", "box", "sh");
  child.stdin?.write("tty; stty size; echo pid $$\r");
  await untilText(child.stdout, /pid \d+/);
  // The shell in the container gets this one and goes on.
  child.stdin?.write("\u0003");
  child.stdin?.write("exit 5\r");
  const { status } = await ended(child);
  assert.equal(status, 5);
});

test("exec: without --tty there is no terminal", async () => {
  const { status, stdout } = await berth.run(["exec", "-i", "box", "tty"]);
  assert.deepEqual([status, stdout], [1, "not a tty\n"]);
});
