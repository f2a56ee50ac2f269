import assert from "node:assert/strict";
import { after, before, test, type TestContext } from "node:test";
import type { LinuxContainerSecurityContext } from "../../src/cri/types/runtime/v1/LinuxContainerSecurityContext.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let enabled: boolean;

/** A profile of the test's own. */
const own = "profile berth-test flags=(attach_disconnected,mediate_deleted) { file, deny /tmp/** w, }";

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  enabled = (await world.run("grep", ["-q", "Y", "/sys/module/apparmor/parameters/enabled"])).status === 0;
  if (enabled) assert.equal((await world.run("apparmor_parser", ["-r", "-K"], own)).status, 0);
});

after(() => bed.disposeAsync());

const current = "cat /proc/self/attr/current";

type Apparmor = LinuxContainerSecurityContext["apparmor"];

function skipped(context: TestContext): boolean {
  if (!enabled) context.skip("this kernel has no AppArmor; test/vm runs it in one that has");
  return !enabled;
}

for (const [what, security, expected] of [
  ["nothing is said", {}, "berth-default (enforce)\n"],
  ["the default is asked for", { apparmor: { profile_type: "RuntimeDefault" } }, "berth-default (enforce)\n"],
  ["none is asked for", { apparmor: { profile_type: "Unconfined" } }, "unconfined\n"],
  [
    "one is named",
    { apparmor: { profile_type: "Localhost", localhost_ref: "berth-test" } },
    "berth-test (enforce)\n",
  ],
  ["one is named in the old way", { apparmor_profile: "localhost/berth-test" }, "berth-test (enforce)\n"],
  ["no_new_privs is set as well", { no_new_privs: true }, "berth-default (enforce)\n"],
] as const satisfies readonly (readonly [string, LinuxContainerSecurityContext, string])[]) {
  test(`apparmor: the profile where ${what}, of an added process too`, async (context) => {
    if (skipped(context)) return;
    await using pod = await TestPod.run(daemon);
    const id = await pod.start(`${current}; exec sleep 1000`, { security });
    assert.equal((await execSync(daemon, id, "cat", "/proc/1/attr/current")).stdout, expected);
    assert.equal((await execSync(daemon, id, "sh", "-c", current)).stdout, expected);
  });
}

test("apparmor: a privileged container has none", async (context) => {
  if (skipped(context)) return;
  const security_context = { privileged: true, namespace_options: { pid: "CONTAINER" } } as const;
  await using pod = await TestPod.run(daemon, { linux: { security_context } });
  assert.equal(await pod.output(current, { security: { privileged: true } }), "unconfined\n");
});

test("apparmor: the default refuses what capabilities and modes would allow", async (context) => {
  if (skipped(context)) return;
  await using pod = await TestPod.run(daemon);
  const capabilities = { add_capabilities: ["SYS_ADMIN", "SYS_PTRACE"] };
  // Harmless where they succeed: help of sysrq, values written back.
  const tries = `
    mkdir /m; mount -t tmpfs none /m 2>/dev/null && echo mounted
    (echo h >/proc/sysrq-trigger) 2>/dev/null && echo sysrq
    pattern=$(cat /proc/sys/kernel/core_pattern); (echo "$pattern" >/proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern
    (echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null && echo drop_caches
    echo 100 >/proc/self/oom_score_adj && echo own; echo 64 >/proc/sys/net/ipv4/ip_default_ttl && echo net
    echo 1 >/proc/sys/kernel/shm_rmid_forced && echo ipc; touch /tmp/x && echo file; kill -0 1 && echo signal`;
  // Nothing masked, nothing read-only: what is refused, the profile refuses.
  const open = { masked_paths: ["/nothing"], readonly_paths: ["/nothing"], capabilities };
  const unconfined: Apparmor = { profile_type: "Unconfined" };
  const allowed = "own\nnet\nipc\nfile\nsignal\n";
  const all = `mounted\nsysrq\ncore_pattern\ndrop_caches\n${allowed}`;
  assert.equal(await pod.output(tries, { security: { ...open, apparmor: unconfined } }), all);
  assert.equal(await pod.output(tries, { security: open }), allowed);
});

test("apparmor: a profile that is not loaded is refused by its name", async (context) => {
  if (skipped(context)) return;
  await using pod = await TestPod.run(daemon);
  const apparmor: Apparmor = { profile_type: "Localhost", localhost_ref: "berth-absent" };
  await assert.rejects(pod.create("true", { security: { apparmor } }), {
    code: 3,
    message: /"berth-absent"/,
  });
});

test("apparmor: on a host without it what is asked for is refused, and nothing else", async (context) => {
  if (enabled) {
    context.skip("this kernel has AppArmor");
    return;
  }
  await using pod = await TestPod.run(daemon);
  for (const [apparmor, name] of [
    [{ profile_type: "RuntimeDefault" }, "RuntimeDefault"],
    [{ profile_type: "Localhost", localhost_ref: "mine" }, "mine"],
  ] as const) {
    const message = new RegExp(`apparmor profile ${name}: the host has no AppArmor`);
    await assert.rejects(pod.create("true", { security: { apparmor } }), { code: 9, message });
  }
  await pod.output("true", { security: { apparmor: { profile_type: "Unconfined" } } });
  await pod.output("true");
});
