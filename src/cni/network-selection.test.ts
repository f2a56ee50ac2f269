import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { newPodId } from "../core/ids.ts";
import type { NetworkConf } from "./conf.ts";
import { maxSelections, networksAnnotation, parseSelections } from "./network-selection.ts";
import { planAttachments, type AdditionalNetworks } from "./plan.ts";
import type { AttachmentRecord } from "./record.ts";

const plain = { namespace: "", interfaceName: "", capabilities: {}, cniArgs: {} };

test("network selection: the short form", () => {
  assert.deepEqual(parseSelections("a, ns-1/b@data0 ,c@x"), [
    { ...plain, name: "a" },
    { ...plain, name: "b", namespace: "ns-1", interfaceName: "data0" },
    { ...plain, name: "c", interfaceName: "x" },
  ]);
  assert.deepEqual(parseSelections("  "), []);
});

test("network selection: the JSON form", () => {
  const text = JSON.stringify([
    { name: "a", namespace: "ns", interface: "data0", ips: ["10.1.0.9"], mac: "02:00:00:00:00:01" },
    { name: "b", bandwidth: { ingressRate: 8 }, portMappings: [{ hostPort: 1 }], "cni-args": { k: "v" } },
  ]);
  assert.deepEqual(parseSelections(text), [
    {
      ...plain,
      name: "a",
      namespace: "ns",
      interfaceName: "data0",
      capabilities: { ips: ["10.1.0.9"], mac: "02:00:00:00:00:01" },
    },
    {
      ...plain,
      name: "b",
      capabilities: { portMappings: [{ hostPort: 1 }], bandwidth: { ingressRate: 8 } },
      cniArgs: { k: "v" },
    },
  ]);
});

test("network selection: what is wrong is named with the annotation or the address", () => {
  for (const [text, expected] of [
    ["a,,b", "not a network"],
    ["../etc", "not a network"],
    ["a@b/c", "not an interface's name"],
    ["a@sixteencharacters", "not an interface's name"],
    ["[", "not JSON"],
    ["[1]", "expected an object"],
    ["[{}]", "no name"],
    ['[{"name":"a","mac":"x"}]', "not a hardware address"],
    ['[{"name":"a","ips":["x"]}]', "not an IP address"],
    ['[{"name":"a","ips":"10.0.0.1"}]', "ips: expected a list"],
    ['[{"name":"a","default-route":["10.0.0.1"]}]', "default-route is not supported"],
    [Array.from({ length: maxSelections + 1 }, () => "a").join(), `more than ${maxSelections} networks`],
  ] as const) {
    assert.throws(
      () => parseSelections(text),
      (error) => error instanceof Error && error.message.includes(expected),
      text,
    );
  }
});

const network = (name: string, capabilities: object = {}): NetworkConf => ({
  name,
  cniVersion: "1.0.0",
  disableCheck: false,
  disableGc: false,
  plugins: [{ type: "bridge", capabilities }],
});

function plan(text: string, additionalNetworks: AdditionalNetworks = "annotation"): AttachmentRecord[] {
  const networks = [network("main"), network("second", { ips: true }), network("third")];
  const pod = {
    id: newPodId(),
    name: "web",
    namespace: "shop",
    uid: "u",
    portMappings: [{ protocol: "tcp", containerPort: 80, hostPort: 8080, hostIp: "" }],
    annotations: { [networksAnnotation]: text },
    cgroupParent: "/kubepods/pod1",
  } as const;
  return planAttachments(pod, "/run/netns/x", {
    ifname: "eth0",
    currentNetwork: () => network("main"),
    networks: () => new Map(networks.map((one) => [one.name, one])),
    additionalNetworks,
    podCidrs: () => [],
  });
}

test("plan: the pod's own network first, then those it asks for, with what is theirs", () => {
  const records = plan(
    '[{"name":"second","ips":["10.1.0.9"]},{"name":"third","interface":"x","cni-args":{"k":"v"}}]',
  );
  assert.deepEqual(
    records.map(({ position, ifname, network: { name } }) => [position, ifname, name]),
    [
      [0, "eth0", "main"],
      [1, "net1", "second"],
      [2, "x", "third"],
    ],
  );
  const annotations = records[0]?.capabilities["io.kubernetes.cri.pod-annotations"];
  assert.deepEqual(records[1]?.capabilities, {
    "io.kubernetes.cri.pod-annotations": annotations,
    cgroupPath: "/kubepods/pod1",
    ips: ["10.1.0.9"],
  });
  assert.deepEqual(records[2]?.network.plugins[0]?.["args"], { cni: { k: "v" } });
  assert.deepEqual(records[0]?.network.plugins[0]?.["args"], undefined);
});

test("plan: one network may be asked for twice, an interface may not, and off is off", () => {
  assert.deepEqual(
    plan("second,second").map(({ ifname }) => ifname),
    ["eth0", "net1", "net2"],
  );
  assert.equal(plan("second", "off").length, 1);
  for (const [text, code, expected] of [
    ["second@eth0", "invalid-argument", "eth0 is asked for twice"],
    ["second@lo", "invalid-argument", "lo is asked for twice"],
    ["second@net2,third", "invalid-argument", "net2 is asked for twice"],
    ["fourth", "not-found", "no network fourth is configured; there are: main, second, third"],
    [
      '[{"name":"third","mac":"02:00:00:00:00:01"}]',
      "invalid-argument",
      "network third has the capability mac",
    ],
  ] as const) {
    assert.throws(
      () => plan(text),
      (error) => hasCode(error, code) && error.message.includes(expected),
      text,
    );
  }
});
