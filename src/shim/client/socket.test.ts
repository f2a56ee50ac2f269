import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectSocket } from "./socket.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-socket-"));
});
after(() => {
  rmSync(folder, { recursive: true });
});

const wait = { timeoutMs: 5000 };

/** Listens in a process of its own with room for one connection that it has not taken. */
const listener = `
  const server = require("node:net").createServer(() => {});
  server.listen({ path: process.argv[1], backlog: 1 }, () => console.log("listens"));
`;

/** Uses up its descriptors, then connects. */
const exhausted = `
  import { openSync } from "node:fs";
  const { connectSocket } = await import(process.argv[1]);
  try { for (;;) openSync("/dev/null"); } catch {}
  for (const path of [process.argv[2], process.argv[2] + "/" + "x".repeat(120)]) {
    const said = await connectSocket(path, {}).catch((thrown) => thrown.code);
    process._rawDebug(said);
  }
`;

await suite("socket", () => {
  const absent: readonly (readonly [name: string, path: () => string, code: string])[] = [
    ["no such socket", () => join(folder, "none"), "unavailable"],
    ["no such folder", () => `/nowhere/${"x".repeat(150)}`, "unavailable"],
    ["nothing listens", () => plainFile(), "unavailable"],
    ["a file in place of a folder", () => join(plainFile(), "sock"), "internal"],
    ["a folder's name too long", () => `/${"x".repeat(300)}/sock`, "internal"],
  ];
  for (const [name, path, code] of absent) {
    test(`socket: ${name} is ${code}`, async () => {
      await assert.rejects(connectSocket(path(), wait), { name: "RuntimeError", code });
    });
  }

  function plainFile(): string {
    const path = join(folder, "plain");
    writeFileSync(path, "");
    return path;
  }

  test("socket: want of descriptors does not say that nobody is there", async () => {
    const module = new URL("socket.ts", import.meta.url).href;
    const path = join(folder, "none");
    const script = 'ulimit -n 40; exec "$0" --input-type=module -e "$1" "$2" "$3"';
    const child = spawn("sh", ["-c", script, process.execPath, exhausted, module, path]);
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    await once(child, "close");
    assert.equal(said, "resource-exhausted\nresource-exhausted\n");
  });

  test("socket: a full queue is waited for: to the deadline, to the abort, until there is room", async () => {
    const path = join(folder, "full");
    const child = spawn(process.execPath, ["-e", listener, path]);
    const held: Socket[] = [];
    try {
      await once(child.stdout, "data");
      child.kill("SIGSTOP");
      // The kernel has room for one more than it was told.
      for (let i = 0; i < 2; i++) held.push(await connectSocket(path, wait));
      await assert.rejects(connectSocket(path, { timeoutMs: 50 }), { code: "deadline-exceeded" });
      const signal = AbortSignal.timeout(50);
      await assert.rejects(connectSocket(path, { signal }), { code: "aborted" });
      const waiting = connectSocket(path, wait);
      await sleep(30);
      child.kill("SIGCONT");
      held.push(await waiting);
    } finally {
      for (const socket of held) socket.destroy();
      child.kill("SIGKILL");
    }
  });

  test("socket: under a signal that was aborted before, nothing is connected", async () => {
    let connections = 0;
    const server: Server = createServer(() => connections++);
    const path = join(folder, "aborted");
    server.listen(path);
    await once(server, "listening");
    const signal = AbortSignal.abort();
    await assert.rejects(connectSocket(path, { signal }), { code: "aborted" });
    // The error of such a connection was nobody's, and ended the process.
    await assert.rejects(connectSocket(join(folder, "none"), { signal }), { code: "aborted" });
    await sleep(50);
    assert.equal(connections, 0);
    server.close();
  });
});
