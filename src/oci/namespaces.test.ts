import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, hasCode } from "../core/errors.ts";
import type { NamespaceOptions } from "../core/namespaces.ts";
import { type NamespaceRequest, specNamespaces } from "./namespaces.ts";

const options: NamespaceOptions = { network: "pod", pid: "container", ipc: "pod", user: { mode: "node" } };
const pins = { network: "/n/net", ipc: "/n/ipc", uts: "/n/uts", pid: "/n/pid", user: "/n/user" };
const mapped: NamespaceOptions["user"] = {
  mode: "pod",
  uids: [{ containerId: 0, hostId: 100_000, length: 65_536 }],
  gids: [{ containerId: 0, hostId: 100_000, length: 65_536 }],
};

interface Case {
  readonly pod?: Partial<NamespaceOptions>;
  readonly container?: Partial<NamespaceOptions>;
  readonly rest?: Partial<NamespaceRequest>;
}

function namespaces({ pod, container, rest }: Case): string {
  const request = {
    podId: "p1",
    pod: { ...options, ...pod },
    container: { ...options, ...container },
    pins,
    cgroupVersion: 2 as const,
    privileged: false,
    ...rest,
  };
  return specNamespaces(request)
    .map(({ type, path = "new" }) => `${type}=${path}`)
    .join(" ");
}

const podOnes = "network=/n/net ipc=/n/ipc uts=/n/uts";

test("namespaces: of the pod, the container, the node", () => {
  const table: readonly (readonly [string, Case, string])[] = [
    ["default", {}, `mount=new ${podOnes} pid=new cgroup=new`],
    ["cgroup v1", { rest: { cgroupVersion: 1 } }, `mount=new ${podOnes} pid=new`],
    ["privileged", { rest: { privileged: true } }, `mount=new ${podOnes} pid=new`],
    [
      "host network is the host's name too",
      { pod: { network: "node" }, container: { network: "node" } },
      "mount=new ipc=/n/ipc pid=new cgroup=new",
    ],
    [
      "a container that says nothing follows its pod",
      { pod: { network: "node", ipc: "node", pid: "node" }, container: { pid: "pod" } },
      "mount=new cgroup=new",
    ],
    [
      "shared pid",
      { pod: { pid: "pod" }, container: { pid: "pod" } },
      `mount=new ${podOnes} pid=/n/pid cgroup=new`,
    ],
    ["own pid in a pod that shares", { pod: { pid: "pod" } }, `mount=new ${podOnes} pid=new cgroup=new`],
    ["nothing to share", { container: { pid: "pod" } }, `mount=new ${podOnes} pid=new cgroup=new`],
    [
      "target",
      { container: { pid: "target", targetId: "c2" }, rest: { targetPid: "/proc/7/ns/pid" } },
      `mount=new ${podOnes} pid=/proc/7/ns/pid cgroup=new`,
    ],
    [
      "user",
      { pod: { user: mapped }, container: { user: mapped } },
      `mount=new user=/n/user ${podOnes} pid=new cgroup=new`,
    ],
  ];
  for (const [name, request, expected] of table) assert.equal(namespaces(request), expected, name);
});

test("namespaces: a container does not leave its pod", () => {
  const table: readonly (readonly [Case, ErrorCode, RegExp])[] = [
    [{ container: { network: "node" } }, "invalid-argument", /options\.network.*p1/],
    [{ container: { ipc: "node" } }, "invalid-argument", /options\.ipc/],
    [{ container: { pid: "node" } }, "invalid-argument", /options\.pid/],
    [{ pod: { user: mapped } }, "invalid-argument", /userns_options/],
    [{ container: { user: mapped } }, "invalid-argument", /userns_options/],
    [{ container: { pid: "target", targetId: "c2" } }, "failed-precondition", /c2 is not running/],
    [{ rest: { pins: {} } }, "failed-precondition", /pod p1 has no network namespace/],
  ];
  for (const [request, code, message] of table) {
    assert.throws(
      () => namespaces(request),
      (error) => hasCode(error, code) && message.test(error.message),
      String(message),
    );
  }
});
