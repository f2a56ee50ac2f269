import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output, type TestNamespace } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

await enterPrivateNetwork();

const bytes = 2_000_000;
/** 1 MB a second, 100 kB at once: the bytes take 1.9 s at least, on any machine. */
const rateBits = 8_000_000;
const burstBits = 800_000;
const shortestMs = 1_500;
/** However slow the machine is: what the limit lets pass in ten times the time. */
const longestMs = 20_000;

/** Takes connections in, counts what comes, and prints how long the bytes took from the first one on, in milliseconds. */
const sinkScript = `
  const server = require("node:net").createServer((socket) => {
    let since; let left = ${bytes};
    socket.on("data", (chunk) => {
      since ??= performance.now();
      left -= chunk.length;
      if (left <= 0) { process.stdout.write(String(performance.now() - since)); process.exit(); }
    });
  });
  server.listen(5001, "0.0.0.0", () => process.stdout.write("ready "));
  process.stdin.resume().on("end", () => process.exit());
`;

const sourceScript = `
  const socket = require("node:net").connect(5001, process.argv[1], () => socket.write(Buffer.alloc(${bytes})));
  socket.on("close", () => process.exit()).on("error", () => process.exit());
`;

/** How long the bytes take from one namespace to another, in milliseconds. */
async function timeOf(from: Pick<TestNamespace, "run">, toPath: string, address: string): Promise<number> {
  const sink = spawn("nsenter", [`--net=${toPath}`, process.execPath, "-e", sinkScript], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(sink, "exit");
  let text = "";
  sink.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(sink.stdout, "data");
  await from.run(process.execPath, "-e", sourceScript, address);
  sink.stdin.end();
  await ended;
  return Number(text.replace("ready ", ""));
}

test("bandwidth: what a pod receives and sends is held back, and no ifb is left", needsRoot, async () => {
  await using fixture = await makeFixture();
  const base = bridgeNetwork(fixture, "bw0", ["10.51.0.0/24"]);
  const attach = async (namespace: TestNamespace, limits: object): Promise<string> => {
    await fixture.configure({ ...base, plugins: [...base.plugins, { type: "bandwidth", ...limits }] });
    return (await fixture.networks.attach(makePod(), namespace.path, makeJob(), soon())).ips[0] ?? "";
  };
  await using free = await makeNamespace();
  await using receiver = await makeNamespace();
  await using sender = await makeNamespace();
  const freeAddress = await attach(free, {});
  const receiverAddress = await attach(receiver, { ingressRate: rateBits, ingressBurst: burstBits });
  await attach(sender, { egressRate: rateBits, egressBurst: burstBits });
  const limited = {
    received: await timeOf(free, receiver.path, receiverAddress),
    sent: await timeOf(sender, free.path, freeAddress),
  };
  for (const [way, time] of Object.entries(limited)) {
    assert.ok(time > shortestMs && time < longestMs, `${way}: ${time} ms for ${bytes} bytes`);
  }
  // The other way is free in both.
  const others = [await timeOf(receiver, free.path, freeAddress)];
  assert.ok(
    others.every((time) => time < Math.max(...Object.values(limited))),
    `${others.join(", ")} ms`,
  );
  for (const { podId } of fixture.networks.entries()) {
    await fixture.networks.check(podId, undefined, soon());
    await fixture.networks.detach(podId, undefined, soon());
  }
  await fixture.restart();
  assert.deepEqual((await hostLinks()).sort(), ["bw0", "lo"]);
  await output("ip", "link", "delete", "bw0");
});

test("bandwidth: a pod's annotations become limits", needsRoot, async () => {
  await using fixture = await makeFixture();
  const base = bridgeNetwork(fixture, "bw1", ["10.52.0.0/24"]);
  const plugin = { type: "bandwidth", capabilities: { bandwidth: true } };
  await fixture.configure({ ...base, plugins: [...base.plugins, plugin] });
  await using namespace = await makeNamespace();
  const annotations = { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" };
  const pod = { ...makePod(), annotations };
  const { interfaces } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  assert.match(interfaces.at(-1)?.name ?? "", /^bwp[0-9a-f]{12}$/);
  const limits = await output("tc", "qdisc");
  assert.match(limits, /tbf 1: dev veth.* rate 10Mbit/);
  assert.match(limits, /tbf 1: dev bwp.* rate 20Mbit/);
  await fixture.networks.detach(pod.id, undefined, soon());
  await fixture.restart();
  assert.doesNotMatch(await output("tc", "qdisc"), /tbf/);
  await output("ip", "link", "delete", "bw1");
});
