import "./isolated.ts";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { until } from "./evidence.ts";
import { type TestContainer, TestHost, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const all = { stdin: true, stdout: true, stderr: true };

test("log: whole although the daemon's connection is lost", async () => {
  const container = await host.create([
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done",
  ]);
  await container.shim.start(wait);
  container.shim.close();
  await until(
    () => existsSync(container.recordPath) && readFileSync(container.recordPath, "utf8") !== "",
    "it ends",
  );
  await until(() => container.logLines().length === 9, "the log is whole");
});

test("terminal: /dev/console is it, and it is the controlling one", async () => {
  const { lines } = await host.sh(
    "echo to-console > /dev/console; echo to-tty > /dev/tty; stat -c %t:%T /dev/console /dev/pts/0",
    {
      process: { terminal: true },
    },
  );
  const text = lines.map((line) => line.replace("\r", "").replace("stdout F ", ""));
  assert.deepEqual(text.slice(0, 2), ["to-console", "to-tty"]);
  assert.equal(text[2], text[3]);
});

async function attached(
  container: TestContainer,
  streams = all,
): Promise<{ seen: { out: string }; session: Awaited<ReturnType<TestContainer["shim"]["attach"]>> }> {
  const seen = { out: "" };
  const session = await container.shim.attach(
    streams,
    {
      onStdout: (bytes) => void (seen.out += bytes.toString()),
      onStderr: (bytes) => void (seen.out += `!${bytes.toString()}`),
    },
    wait,
  );
  return { seen, session };
}

for (const how of ["half-closes", "leaves"] as const) {
  test(`attach: with \`open-once\` input ends when the client ${how}`, async () => {
    const container = await host.create(["sh", "-c", "cat; echo end"], { request: { stdin: "open-once" } });
    await container.shim.start(wait);
    const { session } = await attached(container);
    await session.writeStdin(Buffer.from("text\n"));
    await until(() => container.logLines().length === 1, "the text");
    if (how === "leaves") session.close();
    else await session.closeStdin();
    assert.equal((await container.exit).exitCode, 0);
    assert.deepEqual(container.logLines(), ["stdout F text", "stdout F end"]);
  });
}

test("stdin: closed is the null device, and nothing holds the container", async () => {
  const { record, lines } = await host.sh("cat; readlink /proc/self/fd/0");
  assert.equal(record.exitCode, 0);
  assert.deepEqual(lines, ["stdout F /dev/null"]);
});
