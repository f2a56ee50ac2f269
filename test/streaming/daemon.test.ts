import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import {
  eventually,
  execSync,
  logOf,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  startContainer,
  untilExited,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import type { ClientRequest, ClientResult } from "./client-request.ts";

const node = join(import.meta.dirname, "../../node_modules/.bin/node");
const program = join(import.meta.dirname, "client-program.ts");
const wires = ["spdy", "websocket"] as const;

/** What the test's pod runs: a web server on IPv4, one on IPv6 alone, and a reader of its input. */
const script = `
  mkdir -p /tmp/www && echo page > /tmp/www/page
  httpd -p 127.0.0.1:8080 -h /tmp/www
  httpd -p '[::1]:8081' -h /tmp/www
  echo ready
  while read line; do echo "got $line"; echo "err $line" >&2; done
  echo end
`;

let world: World;
let daemon: TestDaemon;
let pod: string;
let container: string;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  const config = podConfig(daemon);
  pod = await runPod(daemon, config);
  container = await startContainer(daemon, pod, config, scriptConfig(script, { stdin: true }));
  await eventually(async () => {
    const lines = await logOf(daemon, container);
    return lines.some((line) => line.endsWith("ready")) ? true : undefined;
  }, "the container to be ready");
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function client(url: string, request: ClientRequest): Promise<ClientResult> {
  const { status, stdout, stderr } = await world.run(node, [program, url, JSON.stringify(request)]);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as ClientResult;
}

async function execUrl(
  cmd: string[],
  change: { readonly tty?: boolean; readonly stderr?: boolean } = {},
): Promise<string> {
  const streams = { stdin: true, stdout: true, stderr: true };
  const { url } = await daemon.runtime.Exec({ container_id: container, cmd, ...streams, ...change });
  return url;
}

const all = ["stdin", "stdout", "stderr"];

for (const over of wires) {
  test(`streaming daemon: ${over} exec: streams and exit code`, async () => {
    const url = await execUrl(["sh", "-c", "cat; echo oops >&2; exit 3"]);
    const { stdout, stderr, error } = await client(url, { over, streams: all, input: "hello" });
    assert.equal(stdout, "hello");
    assert.equal(stderr, "oops\n");
    assert.match(error, /"reason":"ExitCode","message":"3"/);
  });

  test(`streaming daemon: ${over} exec: a program that is not there`, async () => {
    const { error } = await client(await execUrl(["/no/such"]), { over, streams: all });
    assert.match(error, /InternalError.*\/no\/such.*no such file/);
  });

  test(`streaming daemon: ${over} exec: a terminal with its size`, async () => {
    const url = await execUrl(["sh", "-c", "sleep 0.3; stty size; tty"], { tty: true, stderr: false });
    const streams = ["stdin", "stdout", "resize"];
    // A terminal ends input at ^D, not by closing it.
    const { stdout } = await client(url, { over, streams, size: '{"Width":99,"Height":33}' });
    assert.match(stdout, /^33 99\r\n\/dev\/pts\/\d+\r\n$/);
  });

  test(`streaming daemon: ${over} exec: a client that vanishes leaves no process`, async () => {
    const url = await execUrl(["sh", "-c", "sleep 4321 & yes"]);
    const request = { over, streams: all, vanishAfterMs: 300 };
    await assert.rejects(world.run(node, [program, url, JSON.stringify(request)]));
    await eventually(async () => {
      const { stdout } = await execSync(daemon, container, "ps");
      return /sleep 4321|yes/.test(stdout) ? undefined : true;
    }, "the command and its child to be gone");
  });

  test(`streaming daemon: ${over} port-forward: parallel connections, IPv4 and IPv6, a closed port`, async () => {
    const forward = async (port: number): Promise<ClientResult> => {
      const { url } = await daemon.runtime.PortForward({ pod_sandbox_id: pod });
      const input = "GET /page HTTP/1.0\r\n\r\n";
      return client(url, { over, streams: [], port, connections: 20, input });
    };
    for (const port of [8080, 8081]) {
      const { stdout, error } = await forward(port);
      assert.match(stdout, /^HTTP\/1\.\d 200 OK[^]*page\n$/);
      assert.equal(error, "");
    }
    const { error } = await forward(8099);
    assert.match(error, /^error forwarding port 8099 .*127\.0\.0\.1: .*refused.*::1: .*refused/);
  });
}

test("streaming daemon: attach: two at once, and input for the container", async () => {
  const attach = async (input: string): Promise<ClientResult> => {
    const streams = { stdin: true, stdout: true, stderr: true };
    const { url } = await daemon.runtime.Attach({ container_id: container, ...streams });
    return client(url, { over: "spdy", streams: all, input });
  };
  await Promise.all([attach("one\n"), attach("two\n")]);
  await eventually(async () => {
    const lines = (await logOf(daemon, container)).join("\n");
    return ["got one", "err one", "got two", "err two"].every((line) => lines.includes(line))
      ? true
      : undefined;
  }, "the container to read both");
});

test("streaming daemon: attach: stdin_once ends the container's input with the client's", async () => {
  const config = podConfig(daemon);
  const ownPod = await runPod(daemon, config);
  const once = scriptConfig("while read line; do echo got $line; done; echo end", {
    stdin: true,
    stdin_once: true,
  });
  const id = await startContainer(daemon, ownPod, config, once);
  const { url } = await daemon.runtime.Attach({ container_id: id, stdin: true, stdout: true });
  const { stdout, error } = await client(url, {
    over: "websocket",
    streams: ["stdin", "stdout"],
    input: "a\nb\n",
  });
  assert.equal(stdout, "got a\ngot b\nend\n");
  assert.match(error, /Success/);
  assert.equal((await untilExited(daemon, id)).exit_code, 0);
  const streams = { stdin: false, stdout: true, stderr: true };
  for (const call of [
    daemon.runtime.Exec({ container_id: id, cmd: ["true"], ...streams }),
    daemon.runtime.Attach({ container_id: id, ...streams }),
  ]) {
    await assert.rejects(call, { code: 9, message: new RegExp(`${id} is exited`) });
  }
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: ownPod });
  await assert.rejects(daemon.runtime.PortForward({ pod_sandbox_id: ownPod }), { code: 9 });
});

test("streaming daemon: port-forward into a pod on the host's network", async () => {
  const security_context = { namespace_options: { network: "NODE", pid: "CONTAINER" } } as const;
  const config = podConfig(daemon, { hostname: "", linux: { security_context } });
  const hostPod = await runPod(daemon, config);
  const serving = scriptConfig("echo host > /tmp/page; httpd -f -p 127.0.0.1:8085 -h /tmp", {
    linux: { security_context },
  });
  await startContainer(daemon, hostPod, config, serving);
  const input = "GET /page HTTP/1.0\r\n\r\n";
  await eventually(async () => {
    const { url } = await daemon.runtime.PortForward({ pod_sandbox_id: hostPod });
    const { stdout } = await client(url, { over: "spdy", streams: [], port: 8085, input });
    return stdout.endsWith("host\n") ? true : undefined;
  }, "the page");
});

test("streaming daemon: wrong requests are refused by name", async () => {
  const exec = (change: object) =>
    daemon.runtime.Exec({ container_id: container, cmd: ["true"], stdout: true, ...change });
  const attach = (change: object) =>
    daemon.runtime.Attach({ container_id: container, stdout: true, ...change });
  const forward = (change: object) => daemon.runtime.PortForward({ pod_sandbox_id: pod, ...change });
  const cases: readonly (readonly [call: Promise<unknown>, code: number, says: RegExp])[] = [
    [exec({ tty: true, stderr: true }), 3, /tty and stderr/],
    [exec({ stdout: false }), 3, /stdin, stdout, stderr/],
    [exec({ cmd: [] }), 3, /cmd: empty/],
    [exec({ container_id: "unknown" }), 5, /unknown/],
    [attach({ tty: true, stderr: true }), 3, /tty and stderr/],
    [attach({ stdout: false }), 3, /stdin, stdout, stderr/],
    [attach({ tty: true }), 3, /has no terminal/],
    [attach({ container_id: "unknown" }), 5, /unknown/],
    [forward({ port: [0] }), 3, /port: 0/],
    [forward({ port: [80, 65_536] }), 3, /port: 65536/],
    [forward({ pod_sandbox_id: "unknown" }), 5, /unknown/],
  ];
  for (const [call, code, says] of cases) await assert.rejects(call, { code, message: says });
});
