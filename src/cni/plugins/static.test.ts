import assert from "node:assert/strict";
import { test } from "node:test";
import type { PluginCall } from "../plugin.ts";
import { staticPlugin } from "./static.ts";

function call(conf: object, args = "", prevResult?: object): PluginCall {
  return { conf: { name: "n", type: "bridge", ...conf }, args, prevResult } as unknown as PluginCall;
}

const ipam = {
  type: "static",
  addresses: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }, { address: "FD00::2/64" }],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9" }],
  dns: { nameservers: ["10.1.0.1"], search: ["x.y"] },
};

test("static: gives what is written", async () => {
  assert.deepEqual(await staticPlugin().add(call({ ipam })), {
    interfaces: [],
    ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }, { address: "fd00::2/64" }],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9" }],
    dns: { nameservers: ["10.1.0.1"], search: ["x.y"] },
  });
});

test("static: what the caller asks for, in the reference plugin's order", async () => {
  for (const [conf, args, ips] of [
    [{ ipam }, "IgnoreUnknown=1;IP=10.2.0.2/24,10.3.0.2/24;GATEWAY=10.2.0.9,fd00::9", 4],
    [{ ipam, args: { cni: { ips: ["10.4.0.2/24"] } } }, "IP=10.2.0.2/24", 1],
    [
      {
        ipam,
        args: { cni: { ips: ["10.4.0.2/24"] } },
        runtimeConfig: { ips: ["10.5.0.2/24", "fd05::2/64"] },
      },
      "",
      2,
    ],
  ] as const) {
    assert.equal((await staticPlugin().add(call(conf, args))).ips.length, ips);
  }
  const { ips } = await staticPlugin().add(call({ ipam }, "IP=10.2.0.2/24;GATEWAY=10.2.0.9,fd00::9"));
  assert.deepEqual(
    ips.map(({ gateway }) => gateway),
    ["10.1.0.1", "fd00::9", "10.2.0.9"],
  );
});

test("static: what is no address is named", async () => {
  for (const [conf, args, problem] of [
    [
      { ipam: { addresses: [{ address: "10.1.0.2" }] } },
      "",
      /ipam static: not an address with a prefix length: "10/,
    ],
    [{ ipam }, "IP=10.2.0.2", /"10\.2\.0\.2"/],
    [{ ipam }, "GATEWAY=x", /not an IP address: "x"/],
    [{ runtimeConfig: { ips: ["x"] } }, "", /"x"/],
  ] as const) {
    await assert.rejects(staticPlugin().add(call(conf, args)), problem);
  }
});

test("static: CHECK finds another gateway", async () => {
  await staticPlugin().check(call({ ipam }, "", { ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] }));
  const other = { ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.7" }] };
  await assert.rejects(
    staticPlugin().check(call({ ipam }, "", other)),
    /has the gateway 10\.1\.0\.7, not 10\.1\.0\.1/,
  );
});
