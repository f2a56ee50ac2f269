import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeFixture } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output } from "./namespaces.ts";
import { ask, hostLinks, serve } from "./traffic.ts";

await enterPrivateNetwork();

const program = join(import.meta.dirname, "../../src/cli/main.ts");

/** A call of `berth cni TYPE` as another runtime makes it: a process for each. */
async function call(
  command: string,
  conf: { readonly type: string },
  attachment: { readonly containerId: string; readonly netns: string } | undefined,
): Promise<Record<string, unknown>> {
  const child = execFile(process.execPath, [program, "cni", conf.type], {
    env: {
      PATH: process.env["PATH"],
      CNI_COMMAND: command,
      CNI_PATH: "/nonexistent",
      ...(attachment === undefined
        ? {}
        : { CNI_CONTAINERID: attachment.containerId, CNI_NETNS: attachment.netns, CNI_IFNAME: "eth0" }),
    },
  });
  child.stdin?.end(JSON.stringify(conf));
  const chunks: string[] = [];
  child.stdout?.on("data", (chunk: string) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const text = chunks.join("");
  assert.equal(code, 0, `${conf.type} ${command}: ${text}`);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

test(
  "program: bridge, portmap, firewall and vxlan, each call a process of its own, leave nothing",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using first = await makeNamespace();
    await using second = await makeNamespace();
    await output("ip", "link", "add", "up3", "type", "bridge");
    await output("ip", "address", "add", "192.0.2.1/24", "dev", "up3");
    await output("ip", "link", "set", "up3", "up");
    const peers = [
      { address: "192.0.2.1", subnets: ["10.1.0.0/16"] },
      { address: "192.0.2.2", subnets: ["10.2.0.0/16"] },
    ];
    const chainOf = (subnets: readonly string[], hostPort: number): { readonly type: string }[] =>
      [
        {
          type: "bridge",
          bridge: "prog0",
          isDefaultGateway: true,
          ipMasq: true,
          ipam: {
            type: "host-local",
            ranges: subnets.map((subnet) => [{ subnet }]),
            dataDir: fixture.dataDir,
          },
        },
        {
          type: "portmap",
          runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] },
        },
        { type: "firewall", backend: "iptables" },
        { type: "vxlan", vni: 77, peers, dataDir: join(fixture.folder, "users") },
      ].map((plugin) => ({ ...plugin, cniVersion: "1.1.0", name: "prog" }));
    const pods = [
      { containerId: "c1", netns: first.path, chain: chainOf(["10.1.0.0/24", "fd10::/64"], 8080) },
      // Its process knows of IPv4 alone.
      { containerId: "c2", netns: second.path, chain: chainOf(["10.1.0.0/24"], 8081) },
    ];
    const results: Record<string, unknown>[] = [];
    for (const { chain, ...pod } of pods) {
      let prevResult: Record<string, unknown> | undefined;
      for (const conf of chain) prevResult = await call("ADD", { ...conf, prevResult } as typeof conf, pod);
      results.push(prevResult ?? {});
    }
    const addresses = results.map(
      ({ ips }) => (ips as { address: string }[])[0]?.address.replace(/\/.*/, "") ?? "",
    );
    assert.deepEqual(addresses, ["10.1.0.2", "10.1.0.3"]);
    assert.match(await output("ip", "route"), /10\.2\.0\.0\/16 via 10\.2\.0\.0 dev vxlan77/);
    assert.match(await first.run("ip", "link", "show", "eth0"), /mtu 1450/);
    // Pods keep their own address towards the other host's, whichever process wrote last.
    assert.match(
      await output("nft", "list", "ruleset"),
      /set spared4 \{[^}]*elements = \{ 10\.2\.0\.0\/16 \}/,
    );
    assert.match(await output("nft", "list", "ruleset"), /set subnets6 \{[^}]*elements = \{ fd10::\/64 \}/);
    await using _server = await serve(first, 80);
    assert.equal(await ask(second, addresses[0] ?? "", 80), addresses[1]);
    assert.equal(await ask({ run: output }, "192.0.2.1", 8080), "192.0.2.1");
    const [one] = pods;
    assert.ok(one !== undefined);
    for (const conf of one.chain) {
      await call("CHECK", { ...conf, prevResult: results[0] } as typeof conf, one);
      await call("STATUS", conf, undefined);
    }
    for (const [index, { chain, ...pod }] of pods.entries()) {
      for (const conf of chain.toReversed())
        await call("DEL", { ...conf, prevResult: results[index] } as typeof conf, pod);
    }
    for (const conf of one.chain) {
      await call("GC", { ...conf, "cni.dev/valid-attachments": [] } as typeof conf, undefined);
    }
    assert.deepEqual((await hostLinks()).toSorted(), ["lo", "prog0", "up3"]);
    assert.doesNotMatch(await output("nft", "list", "ruleset"), /berth|CNI-/);
    const left = await readdir(join(fixture.dataDir, "prog"));
    assert.deepEqual(
      left.filter((name) => /^\d+\.\d/.test(name)),
      [],
    );
    for (const link of ["prog0", "up3"]) await output("ip", "link", "delete", link);
  },
);
