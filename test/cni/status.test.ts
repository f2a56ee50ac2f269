import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { parseConfList } from "../../src/cni/conf.ts";
import { pluginLookup } from "../../src/cni/lookup.ts";
import { Readiness } from "../../src/cni/readiness.ts";
import { makeFixture, textOf, type NetworkFixture } from "./fixture.ts";
import { enterPrivateNetwork, needsRoot } from "./namespaces.ts";

await enterPrivateNetwork();

/** Writes each STATUS call's input and environment to files, then does as told. */
const statusScript = (fixture: NetworkFixture, then: string): string =>
  `[ $CNI_COMMAND = STATUS ] || exit 0
echo >>${fixture.folder}/asked; cat >${fixture.folder}/stdin; env | grep ^CNI_ | sort >${fixture.folder}/env
${then}`;

const network = { cniVersion: "1.1.0", name: "n", plugins: [{ type: "main", key: 1 }, { type: "loopback" }] };

async function statusMatches(fixture: NetworkFixture, pattern: RegExp): Promise<void> {
  for (let tries = 0; !pattern.test(fixture.networks.status().message); tries += 1) {
    assert.ok(tries < 1500, `status: ${fixture.networks.status().message}`);
    await sleep(10);
  }
}

test(
  "status: a network of 1.1 is ready when its plugins say so, and they are asked once",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await fixture.plugin("main", statusScript(fixture, ""));
    await fixture.configure(network);
    await statusMatches(fixture, /^$/);
    assert.deepEqual(fixture.networks.status(), { ready: true, reason: "", message: "" });
    for (let count = 0; count < 100; count += 1) fixture.networks.status();
    assert.deepEqual(JSON.parse(await textOf(join(fixture.folder, "stdin"))), {
      cniVersion: "1.1.0",
      name: "n",
      type: "main",
      key: 1,
    });
    assert.equal(
      await textOf(join(fixture.folder, "env")),
      `CNI_COMMAND=STATUS\nCNI_PATH=${fixture.binDir}\n`,
    );
    assert.equal(await textOf(join(fixture.folder, "asked")), "\n");
    // A new configuration is another question.
    await writeFile(join(fixture.confDir, "10-test.conflist"), JSON.stringify({ ...network, name: "m" }));
    for (let tries = 0; (await textOf(join(fixture.folder, "asked"))) !== "\n\n"; tries += 1) {
      assert.ok(tries < 1500, "not asked again");
      await sleep(10);
    }
    await statusMatches(fixture, /^$/);
  },
);

test(
  "status: a plugin that is not ready, is missing or prints rubbish is named; pods are still tried",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await fixture.plugin("main", statusScript(fixture, `echo '{"code": 50, "msg": "no route"}'; exit 1`));
    await fixture.configure(network);
    await statusMatches(fixture, /network n: cni plugin main STATUS: no route \(code 50, exit 1\)/);
    assert.equal(fixture.networks.status().ready, false);
    assert.equal(fixture.networks.status().reason, "NetworkPluginNotReady");
    fixture.networks.requireNetwork();
    assert.equal(fixture.warnings.length, 1);
    await fixture.plugin("main", statusScript(fixture, "kill -9 $$"));
    await fixture.configure(network);
    await statusMatches(fixture, /cni plugin main STATUS: killed by SIGKILL/);
    await fixture.configure({ ...network, plugins: [{ type: "absent" }] });
    await statusMatches(fixture, /cni plugin absent is not built in and not in/);
  },
);

test("status: the ipam behind a built-in plugin is asked", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.plugin("main", statusScript(fixture, `echo '{"code": 51, "msg": "empty pool"}'; exit 1`));
  await fixture.configure({ ...network, plugins: [{ type: "bridge", ipam: { type: "main" } }] });
  await statusMatches(fixture, /cni plugin main STATUS: empty pool/);
});

test("status: a plugin of an older version is not asked", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure({ ...network, cniVersion: "1.0.0" });
  assert.equal(fixture.networks.status().ready, true);
});

test("status: one that hangs is killed at its deadline and named", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.plugin(
    "main",
    statusScript(fixture, `echo $$ >${fixture.folder}/pid; echo thinking >&2; exec sleep 300`),
  );
  const warnings: string[] = [];
  const environment = { PATH: process.env["PATH"] ?? "" };
  await using readiness = new Readiness({
    lookup: pluginLookup([], { folders: [fixture.binDir], environment }),
    onWarning: (message) => warnings.push(message),
    statusTimeoutMs: 500,
  });
  const asked = parseConfList(JSON.stringify({ ...network, plugins: [{ type: "main" }] }), "test");
  assert.match(readiness.failure(asked), /have not told their STATUS yet/);
  for (let tries = 0; warnings.length === 0; tries += 1) {
    assert.ok(tries < 1500, "not killed");
    await sleep(10);
  }
  assert.match(
    readiness.failure(asked),
    /network n: cni plugin main STATUS: killed at its deadline after \d+ ms/,
  );
  assert.match(readiness.failure(asked), /thinking/);
  const pid = Number(await textOf(join(fixture.folder, "pid")));
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

test("status: one that hangs is killed when the runtime ends", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.plugin("main", statusScript(fixture, `echo $$ >${fixture.folder}/pid; exec sleep 300`));
  await fixture.configure(network);
  const pid = async (): Promise<string> => (await textOf(join(fixture.folder, "pid")).catch(() => "")).trim();
  for (let tries = 0; (await pid()) === ""; tries += 1) {
    assert.ok(tries < 1500, "not asked");
    await sleep(10);
  }
  assert.equal(fixture.networks.status().ready, false);
  const hanging = Number(await pid());
  await fixture.plugin("main", statusScript(fixture, ""));
  await fixture.restart();
  assert.throws(() => process.kill(hanging, 0), /ESRCH/);
});
