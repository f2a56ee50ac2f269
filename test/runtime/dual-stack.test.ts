import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { makeTestImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;

before(async () => {
  world = bed.use(await World.create());
});

after(() => bed.disposeAsync());

/** A daemon whose pods get an address of each range, in this order. */
async function startDaemon(name: string, subnets: readonly string[]): Promise<TestDaemon> {
  const ipam = {
    type: "host-local",
    ranges: subnets.map((subnet) => [{ subnet }]),
    dataDir: join(world.folder, `addresses-${name}`),
  };
  const plugin = { type: "bridge", bridge: `dual${name}`, isDefaultGateway: true, ipam };
  const conflist = JSON.stringify({ cniVersion: "1.0.0", name, plugins: [plugin] });
  const daemon = await TestDaemon.start(world, { conflist });
  await makeTestImage(daemon);
  return daemon;
}

for (const [name, subnets, first, second] of [
  ["46", ["10.88.0.0/16", "fd88::/64"], /^10\.88\.\d+\.\d+$/, /^fd88::/],
  ["64", ["fd88::/64", "10.88.0.0/16"], /^fd88::/, /^10\.88\.\d+\.\d+$/],
] as const) {
  test(`dual stack: both addresses in the status, in the pod and in its files, ${name}`, async () => {
    await using daemon = await startDaemon(name, subnets);
    await using pod = await TestPod.run(daemon, {
      hostname: "both",
      dns_config: { servers: ["10.88.0.1", "fd88::1"], searches: ["a.b"], options: ["ndots:5"] },
    });
    const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
    const { ip = "", additional_ips = [] } = status?.network ?? {};
    const others = additional_ips.map((one) => one.ip);
    assert.match(ip, first);
    assert.equal(others.length, 1);
    assert.match(others[0] ?? "", second);
    const seen = await pod.output(
      "cat /etc/hosts /etc/resolv.conf; busybox ip -o address show dev eth0 scope global",
    );
    for (const address of [ip, ...others]) {
      assert.ok(seen.includes(`${address}\tboth\n`), seen);
      assert.match(seen, new RegExp(`inet6? ${address}/`));
    }
    // The first address is the one that the pod's own name means first.
    assert.ok(seen.indexOf(`${ip}\tboth`) < seen.indexOf(`${others[0] ?? ""}\tboth`), seen);
    assert.match(seen, /^127\.0\.0\.1\tlocalhost$/m);
    assert.match(seen, /^::1\tlocalhost /m);
    assert.match(seen, /^nameserver 10\.88\.0\.1\nnameserver fd88::1\nsearch a\.b\noptions ndots:5$/m);
    // Each family has its gateway.
    const routes = await pod.output("busybox ip route; busybox ip -6 route");
    assert.match(routes, /default via 10\.88\.0\.1 dev eth0/);
    assert.match(routes, /default via fd88::1 dev eth0/);
  });
}
