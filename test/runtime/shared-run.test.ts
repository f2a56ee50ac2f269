import assert from "node:assert/strict";
import { test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import {
  eventually,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  startContainer,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";

for (const propagation of [
  "PROPAGATION_PRIVATE",
  "PROPAGATION_HOST_TO_CONTAINER",
  "PROPAGATION_BIDIRECTIONAL",
] as const) {
  test(`shared run: a pod that mounts /run (${propagation}) keeps no other pod's namespace alive`, async () => {
    await using world = await World.create();
    await using daemon = await TestDaemon.start(world);
    await makeTestImage(daemon);
    const other = await runPod(daemon, podConfig(daemon));
    const pin = `/run/netns/berth-${other}`;
    const inode = (await world.must("stat", "-Lc", "%i", pin)).trim();
    const isPrivileged = propagation === "PROPAGATION_BIDIRECTIONAL";
    const context = { privileged: isPrivileged, namespace_options: { pid: "CONTAINER" } } as const;
    const config = podConfig(daemon, { linux: { security_context: context } });
    const watcher = await runPod(daemon, config);
    const container = scriptConfig("exec sleep 1000", {
      mounts: [{ host_path: "/run", container_path: "/host-run", propagation }],
      linux: { security_context: context },
    });
    const id = await startContainer(daemon, watcher, config, container);
    const holders = (): Promise<string> =>
      world.must("sh", "-c", `grep -lF 'net:[${inode}]' /proc/[0-9]*/mountinfo || true`);
    assert.notEqual(await holders(), "");
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other });
    await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other });
    const gone = eventually(async () => ((await holders()) === "" ? true : undefined), "the namespace to go");
    await gone.catch(async () => {
      assert.equal(await holders(), "");
    });
    assert.equal(
      (await daemon.runtime.ContainerStatus({ container_id: id })).status?.state,
      "CONTAINER_RUNNING",
    );
  });
}
