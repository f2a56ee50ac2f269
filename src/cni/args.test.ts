import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { parseArguments, podArguments } from "./args.ts";
import { capabilityArguments, runtimeConfigFor } from "./capability-arguments.ts";

const pod = { id: "f00", name: "web-0", namespace: "shop", uid: "u-1" };

test("args: the keys that plugins know", () => {
  const args = podArguments(pod);
  assert.equal(
    args,
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=f00;K8S_POD_UID=u-1",
  );
  assert.equal(parseArguments(args).get("K8S_POD_NAME"), "web-0");
});

test("args: a value that would change the meaning is refused", () => {
  for (const name of ["a;IP=10.0.0.1", "a=b", "a\0"]) {
    assert.throws(
      () => podArguments({ ...pod, name }),
      (error) => hasCode(error, "invalid-argument") && error.message.includes("K8S_POD_NAME"),
    );
  }
  assert.throws(() => parseArguments("novalue"), /not a pair/);
});

test("args: capabilities reach the plugins that declare them", () => {
  const capabilities = capabilityArguments(
    {
      portMappings: [
        { protocol: "tcp", containerPort: 80, hostPort: 8080, hostIp: "" },
        { protocol: "udp", containerPort: 53, hostPort: 53, hostIp: "127.0.0.1" },
        { protocol: "tcp", containerPort: 81, hostPort: 0, hostIp: "" },
      ],
      annotations: { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "1.5Ki" },
      dns: { servers: ["10.0.0.10"], searches: ["cluster.local"], options: ["ndots:5"] },
      cgroupParent: "/kubepods/pod1",
    },
    ["10.9.0.0/24", "fd09::/64"],
  );
  const conf = (...names: string[]): { type: string; capabilities: object } => ({
    type: "x",
    capabilities: Object.fromEntries(names.map((name) => [name, true])),
  });
  assert.deepEqual(runtimeConfigFor(conf("portMappings"), capabilities), {
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "127.0.0.1" },
    ],
  });
  assert.deepEqual(runtimeConfigFor(conf("bandwidth", "dns"), capabilities), {
    bandwidth: { ingressRate: 1e7, ingressBurst: 2147483647, egressRate: 1536, egressBurst: 2147483647 },
    dns: { servers: ["10.0.0.10"], searches: ["cluster.local"], options: ["ndots:5"] },
  });
  assert.deepEqual(runtimeConfigFor(conf("ipRanges", "cgroupPath"), capabilities), {
    ipRanges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd09::/64" }]],
    cgroupPath: "/kubepods/pod1",
  });
  assert.equal(runtimeConfigFor({ type: "x" }, capabilities), undefined);
  assert.equal(
    runtimeConfigFor({ type: "x", capabilities: { portMappings: false } }, capabilities),
    undefined,
  );
});

test("args: a rate that is none is refused by annotation", () => {
  for (const rate of ["fast", "-1M", "0", "1e3x"]) {
    assert.throws(
      () =>
        capabilityArguments(
          { portMappings: [], annotations: { "kubernetes.io/ingress-bandwidth": rate } },
          [],
        ),
      /ingress-bandwidth: not a rate/,
      rate,
    );
  }
});
