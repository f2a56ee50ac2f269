import assert from "node:assert/strict";
import { test } from "node:test";
import { optionOf, parseTable, quoteWord } from "../iptables/program.ts";
import { parsePrefix } from "../ip.ts";
import { readPortmapConf } from "./conf.ts";
import { addLines, isComplete, podChain, removeLines, strangers, takenPort } from "./iptables-rules.ts";
import { chainScript, elementsOf, linkKey, linkOfKey, portOfKey, portsTable } from "./table.ts";

const pod = parsePrefix("10.8.0.2/24");
const conf = readPortmapConf({
  name: "n",
  runtimeConfig: {
    portMappings: [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "192.0.2.1" },
      { hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "2001:db8::1" },
    ],
  },
});
const empty = parseTable("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n");

/** What iptables-save shows of these lines. */
function saved(lines: readonly string[]): ReturnType<typeof parseTable> {
  return parseTable(lines.join("\n").replaceAll("-I POSTROUTING 1", "-A POSTROUTING"));
}

test("portmap rules: elements of a pod's ports, of its family alone", () => {
  const elements = elementsOf(conf, [pod], "c eth0").map(({ set, element }) => [
    set,
    element.key.toString("hex"),
    element.data?.toString("hex"),
  ]);
  assert.deepEqual(elements, [
    ["ports4", "060000001f900000", "0a08000200500000"],
    ["address_ports4", "c00002011100000000350000", "0a08000214e90000"],
    ["pods4", "0a080002", undefined],
  ]);
  assert.deepEqual(elementsOf({ ...conf, snat: false }, [pod], "").length, 2);
  assert.deepEqual(portOfKey(Buffer.from("c00002011100000000350000", "hex")), { protocol: 17, port: 53 });
});

test("portmap rules: names that nft takes", () => {
  assert.match(portsTable('n; } table "x"'), /^berth_ports_[0-9a-f]{12}$/);
  assert.equal(linkOfKey(linkKey("veth0123456789a")), "veth0123456789a");
  assert.equal(linkKey("x").length, 16);
});

test("portmap rules: conditions stand before the jump, masqAll asks for no source", () => {
  const script = chainScript({
    ...conf,
    masqAll: true,
    conditions: { 4: ["ip", "saddr", "1.2.3.4"], 6: [] },
  });
  assert.match(script, /meta nfproto ipv4 ip saddr 1\.2\.3\.4 fib daddr type local jump to4/);
  assert.match(script, /meta nfproto ipv6 fib daddr type local jump to6/);
  assert.doesNotMatch(script, /saddr @subnets/);
  assert.match(chainScript(conf), /ip saddr @subnets4 ip daddr @pods4 masquerade/);
});

test("portmap rules: the container's chain has the name that the reference plugin gives it", () => {
  // sha512("nc"), as `printf nc | sha512sum` has it.
  assert.match(podChain("n", "c"), /^CNI-DN-[0-9a-f]{21}$/);
  assert.equal(podChain("n", "c"), podChain("nc", ""));
});

test("portmap rules: iptables lines, and what they mean when they are read back", () => {
  const lines = addLines(conf, "c1", pod, empty);
  const chain = podChain("n", "c1");
  assert.deepEqual(
    lines.filter((line) => line.startsWith(`-A ${chain}`)),
    [
      `-A ${chain} -p tcp -m tcp --dport 8080 -s 10.8.0.0/24 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -p tcp -m tcp --dport 8080 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.8.0.2:80`,
      `-A ${chain} -p udp -m udp --dport 53 -d 192.0.2.1 -s 10.8.0.0/24 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -p udp -m udp --dport 53 -d 192.0.2.1 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -p udp -m udp --dport 53 -d 192.0.2.1 -j DNAT --to-destination 10.8.0.2:5353`,
    ],
  );
  const present = saved(lines);
  assert.equal(isComplete(conf, "c1", pod, present), true);
  assert.equal(isComplete(conf, "c2", pod, present), false);
  assert.equal(takenPort(conf, "c1", 4, present), undefined);
  assert.equal(takenPort(conf, "c2", 4, present)?.hostPort, 8080);
  assert.equal(takenPort({ ...conf, network: "other" }, "c1", 4, present)?.hostPort, 8080);
  assert.deepEqual(strangers("n", new Set(["c1"]), present), []);
  assert.deepEqual(new Set(strangers("n", new Set(["c2"]), present)), new Set([chain]));
  assert.deepEqual(strangers("other", new Set(), present), []);
});

test("portmap rules: a second pod adds its own alone, and takes its own alone", () => {
  const first = addLines(conf, "c1", pod, empty);
  const second = addLines({ ...conf, ports: conf.ports.slice(0, 1) }, "c2", pod, saved(first));
  assert.ok(second.every((line) => line.includes(podChain("n", "c2"))));
  const both = saved([...first, ...second]);
  const gone = removeLines([podChain("n", "c2")], both);
  assert.deepEqual(gone, [
    second.find((line) => line.startsWith("-A CNI-HOSTPORT-DNAT"))?.replace("-A", "-D"),
    `-F ${podChain("n", "c2")}`,
    `-X ${podChain("n", "c2")}`,
  ]);
  const last = removeLines([podChain("n", "c1"), podChain("n", "c2")], both);
  for (const chain of ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"]) {
    assert.ok(last.includes(`-X ${chain}`));
  }
  assert.deepEqual(removeLines([podChain("n", "c9")], both), []);
});

test("iptables: what iptables-save writes is taken apart", () => {
  const { chains, rules } = parseTable(
    [
      "# Generated",
      "*nat",
      ":PREROUTING ACCEPT [12:345]",
      ":CNI-DN-x - [0:0]",
      String.raw`-A PREROUTING ! -s 10.0.0.0/8 -m comment --comment "dnat name: \"n\" id: \"c\"" -j CNI-DN-x`,
      "COMMIT",
    ].join("\n"),
  );
  assert.deepEqual([...chains], ["PREROUTING", "CNI-DN-x"]);
  const [rule] = rules;
  assert.ok(rule);
  assert.equal(optionOf(rule, "--comment"), 'dnat name: "n" id: "c"');
  assert.equal(optionOf(rule, "-j"), "CNI-DN-x");
  assert.equal(optionOf(rule, "-s"), undefined);
  assert.equal(quoteWord('a "b"'), String.raw`"a \"b\""`);
  assert.equal(quoteWord("10.0.0.0/8"), "10.0.0.0/8");
});
