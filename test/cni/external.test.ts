import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { hasCode, type ErrorCode } from "../../src/core/errors.ts";
import {
  bridgeNetwork,
  makeFixture,
  makeJob,
  makePod,
  soon,
  textOf,
  type NetworkFixture,
} from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, type TestNamespace } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

await enterPrivateNetwork();

/** Keeps what each call was given in the fixture's folder, one file a command. */
function recorder(fixture: NetworkFixture, name: string, answer: string): string {
  const stem = `${fixture.folder}/${name}.$CNI_COMMAND`;
  return `cat >${stem}.stdin; env | grep ^CNI_ | sort >${stem}.env; echo ${name} $CNI_COMMAND >>${fixture.folder}/order
[ $CNI_COMMAND = ADD ] || exit 0
${answer}`;
}

/** An answer that passes on what came before. */
const passOn = (fixture: NetworkFixture, name: string): string =>
  `${JSON.stringify(process.execPath)} -e '
    const conf = JSON.parse(require("node:fs").readFileSync("${fixture.folder}/${name}.ADD.stdin"));
    process.stdout.write(JSON.stringify(conf.prevResult));'`;

function failure(code: ErrorCode, ...texts: string[]): (error: unknown) => boolean {
  return (error) => hasCode(error, code) && texts.every((text) => error.message.includes(text));
}

/** Attaching fails as expected, and leaves neither record, link nor address. */
async function assertFails(
  fixture: NetworkFixture,
  pod: TestNamespace,
  expected: (error: unknown) => boolean,
  deadline = soon(),
): Promise<void> {
  const before = await hostLinks();
  await assert.rejects(fixture.networks.attach(makePod(), pod.path, makeJob(), deadline), expected);
  assert.deepEqual(fixture.networks.entries(), []);
  assert.deepEqual(await fixture.reserved("net-cni1"), []);
  const links = (await hostLinks()).filter((name) => name !== "cni1");
  assert.deepEqual(
    links,
    before.filter((name) => name !== "cni1"),
  );
}

test(
  "external: a mixed chain gets what the CNI spec says, and DEL what was recorded",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using namespace = await makeNamespace();
    const network = bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]);
    network.plugins.push(
      { type: "first", capabilities: { portMappings: true, bandwidth: true } },
      { type: "second", some: { key: [1] } },
    );
    await fixture.configure(network);
    for (const name of ["first", "second"])
      await fixture.plugin(name, recorder(fixture, name, passOn(fixture, name)));
    const pod = {
      ...makePod(),
      portMappings: [{ protocol: "tcp" as const, containerPort: 80, hostPort: 8080, hostIp: "" }],
    };
    const { ips, result } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
    assert.deepEqual(ips, ["10.91.0.2"]);

    const stdin = JSON.parse(await textOf(join(fixture.folder, "first.ADD.stdin"))) as Record<
      string,
      unknown
    >;
    assert.deepEqual(stdin["runtimeConfig"], {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    });
    assert.equal(stdin["name"], "net-cni1");
    assert.equal(stdin["cniVersion"], "1.0.0");
    assert.equal(stdin["capabilities"], undefined);
    const previous = stdin["prevResult"] as { ips: { address: string }[] };
    assert.equal(previous.ips[0]?.address, "10.91.0.2/24");
    assert.equal(
      await textOf(join(fixture.folder, "first.ADD.env")),
      [
        `CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${pod.id};K8S_POD_UID=${pod.uid}`,
        "CNI_COMMAND=ADD",
        `CNI_CONTAINERID=${pod.id}`,
        "CNI_IFNAME=eth0",
        `CNI_NETNS=${namespace.path}`,
        `CNI_PATH=${fixture.binDir}`,
        "",
      ].join("\n"),
    );

    // DEL goes by the copy, whatever the folder says by then, and by the cached result, also after a restart.
    await fixture.configure({ ...network, plugins: [{ type: "other" }] });
    await fixture.networks.detach(pod.id, makeJob(), soon());
    const order = "first ADD\nsecond ADD\nsecond DEL\nfirst DEL\n";
    assert.equal(await textOf(join(fixture.folder, "order")), order);
    const atDel = JSON.parse(await textOf(join(fixture.folder, "second.DEL.stdin"))) as Record<
      string,
      unknown
    >;
    assert.deepEqual(atDel["some"], { key: [1] });
    assert.deepEqual((atDel["prevResult"] as { ips: unknown }).ips, result.ips);
    await fixture.restart();
    assert.deepEqual(await fixture.reserved("net-cni1"), []);
    assert.deepEqual(fixture.networks.entries(), []);
  },
);

test(
  "external: plugins that fail, print rubbish, die or write too much are named, and all is undone",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using pod = await makeNamespace();
    const network = bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]);
    network.plugins.push({ type: "bad" });
    await fixture.configure(network);
    const del = "[ $CNI_COMMAND = ADD ] || exit 0\n";
    for (const [script, code, texts] of [
      [
        `echo '{"code": 7, "msg": "no luck", "details": "today"}'; exit 1`,
        "internal",
        ["cni plugin bad ADD: no luck; today (code 7, exit 1)"],
      ],
      [`echo '{"code": 11, "msg": "later"}'; exit 1`, "unavailable", ["later"]],
      ["echo complaint >&2; exit 3", "internal", ["cni plugin bad ADD: exit 3: complaint"]],
      ["echo rubbish", "internal", ["cni plugin bad ADD: not JSON"]],
      ["true", "internal", ["cni plugin bad ADD: not JSON"]],
      [`echo '{"ips": [{"address": "here"}]}'`, "internal", ["cni plugin bad ADD", "here"]],
      ["kill -9 $$", "internal", ["cni plugin bad ADD: killed by SIGKILL"]],
      ["exec head -c 100000000 /dev/zero", "resource-exhausted", ["more than 1048576 bytes"]],
    ] as const) {
      await fixture.plugin("bad", del + script);
      await assertFails(fixture, pod, failure(code, ...texts));
    }
  },
);

test("external: a plugin that hangs is killed with its children at the deadline", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using pod = await makeNamespace();
  const network = bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]);
  network.plugins.push({ type: "bad" });
  await fixture.configure(network);
  const children = join(fixture.folder, "children");
  await fixture.plugin(
    "bad",
    `[ $CNI_COMMAND = ADD ] || exit 0\nsleep 300 & echo $! >${children}; echo waiting >&2; wait`,
  );
  const expected = failure(
    "deadline-exceeded",
    "cni plugin bad ADD: killed at its deadline after",
    "waiting",
  );
  await assertFails(fixture, pod, expected, AbortSignal.timeout(500));
  const child = (await textOf(children)).trim();
  const state = await readFile(`/proc/${child}/stat`, "utf8").catch(() => "gone");
  assert.match(state, /^gone$|\) Z /);
});

test("external: a plugin whose child keeps the output open is not waited for", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure({ cniVersion: "1.0.0", name: "n", plugins: [{ type: "forking" }] });
  const pidFile = join(fixture.folder, "pid");
  await fixture.plugin(
    "forking",
    `sleep 60 & echo $! >${pidFile}\necho '{"ips": [{"address": "10.0.0.9/24"}]}'`,
  );
  const pod = makePod();
  const { ips } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  assert.deepEqual(ips, ["10.0.0.9"]);
  process.kill(Number(await textOf(pidFile)));
  await fixture.networks.detach(pod.id, undefined, soon());
  process.kill(Number(await textOf(pidFile)));
});

test(
  "external: an unknown plugin or ipam says where it was looked for, before anything is done",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using pod = await makeNamespace();
    const bridge = {
      type: "bridge",
      bridge: "cni3",
      ipam: { type: "host-local", subnet: "10.9.0.0/24", dataDir: fixture.dataDir },
    };
    for (const [plugins, missing] of [
      [[bridge, { type: "sbr" }], "sbr"],
      [[{ ...bridge, ipam: { type: "dhcp" } }], "dhcp"],
    ] as const) {
      await fixture.configure({ cniVersion: "1.0.0", name: "n", plugins });
      await assert.rejects(
        fixture.networks.attach(makePod(), pod.path, makeJob(), soon()),
        failure("failed-precondition", `cni plugin ${missing} is not built in and not in ${fixture.binDir}`),
      );
      assert.deepEqual(fixture.networks.entries(), []);
      assert.equal((await hostLinks()).includes("cni3"), false);
    }
  },
);

test("external: a configuration that a built-in plugin refuses leaves no record", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using pod = await makeNamespace();
  for (const [extra, expected] of [
    [{ vlan: 5000 }, "vlan: expected 0 to 4094"],
    [{ mtu: "big" }, "mtu: expected a whole number"],
    [{ ipam: { type: "host-local", subnet: "10.9.0.1/24", dataDir: fixture.dataDir } }, "host bits"],
    [{ ipam: { type: "host-local", dataDir: 5 } }, "dataDir: expected a string"],
  ] as const) {
    const network = bridgeNetwork(fixture, "cni3", ["10.9.0.0/24"]);
    network.plugins[0] = { ...network.plugins[0], ...extra };
    await fixture.configure(network);
    await assert.rejects(
      fixture.networks.attach(makePod(), pod.path, makeJob(), soon()),
      (error) => error instanceof Error && error.message.includes(expected),
    );
    assert.deepEqual(fixture.networks.entries(), [], expected);
  }
});

test("external: without nft ipMasq names it and its package, and all is undone", needsRoot, async () => {
  await using fixture = await makeFixture({ PATH: "/nonexistent" });
  await using pod = await makeNamespace();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"], { ipMasq: true }));
  await assertFails(fixture, pod, failure("internal", "nft (Debian package nftables)", "ENOENT"));
});

test("external: what a plugin wrote and how long it took is kept with the job", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure({ cniVersion: "1.0.0", name: "n", plugins: [{ type: "talker" }] });
  await fixture.plugin("talker", `echo thinking >&2; echo '{"cniVersion": "1.0.0"}'`);
  const job = makeJob();
  const pod = makePod();
  await fixture.networks.attach(pod, namespace.path, job, soon());
  assert.deepEqual(job.stages, ["cni talker ADD"]);
  assert.match(job.notes.join("\n"), /cni plugin talker ADD: exit 0 after \d+ ms: thinking/);
  await fixture.networks.detach(pod.id, undefined, soon());
});

test("external: a teardown that fails is recorded and tried again until it succeeds", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure({ cniVersion: "1.0.0", name: "n", plugins: [{ type: "stubborn" }] });
  const pass = join(fixture.folder, "pass");
  await fixture.plugin(
    "stubborn",
    `[ $CNI_COMMAND = ADD ] && { echo '{}'; exit 0; }\n[ -e ${pass} ] || { echo '{"code": 100, "msg": "not yet"}'; exit 1; }`,
  );
  const pod = makePod();
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  await assert.rejects(fixture.networks.detach(pod.id, undefined, soon()), failure("internal", "not yet"));
  assert.equal(fixture.networks.entries()[0]?.state, "leaving");
  await fixture.restart();
  assert.equal(fixture.networks.entries()[0]?.state, "leaving");
  await writeFile(pass, "");
  for (let tries = 0; fixture.networks.entries().length > 0; tries += 1) {
    assert.ok(tries < 1000, "the teardown was not tried again");
    await sleep(10);
  }
});

test("external: an external ipam serves the built-in bridge, CHECK included", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure({
    cniVersion: "0.4.0",
    name: "n",
    plugins: [{ type: "bridge", bridge: "cni2", isGateway: true, ipam: { type: "my-ipam" } }],
  });
  const answer = `echo '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.77.0.9/24"}]}'`;
  await fixture.plugin("my-ipam", recorder(fixture, "ipam", answer));
  const pod = makePod();
  const { result } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  assert.deepEqual(result.ips, [{ address: "10.77.0.9/24", gateway: "10.77.0.1", interface: 2 }]);
  await fixture.networks.check(pod.id, undefined, soon());
  await namespace.run("ip", "address", "delete", "10.77.0.9/24", "dev", "eth0");
  await assert.rejects(fixture.networks.check(pod.id, undefined, soon()), /lost 10\.77\.0\.9\/24/);
  await fixture.networks.detach(pod.id, undefined, soon());
  await fixture.restart();
  assert.equal(await textOf(join(fixture.folder, "order")), "ipam ADD\nipam CHECK\nipam CHECK\nipam DEL\n");
  assert.deepEqual((await readdir(fixture.dataDir)).length, 0);
});
