import assert from "node:assert/strict";
import { test } from "node:test";
import { podConfig } from "../records.fixture.ts";
import { hostsText, resolvConfText } from "./files.ts";

test("pod files: /etc/hosts has localhost and the pod's name at every address", () => {
  const lines = hostsText(podConfig({ hostname: "web-0" }), ["10.0.0.2", "fd00::2"]).split("\n");
  assert.ok(lines.includes("127.0.0.1\tlocalhost"));
  assert.ok(lines.includes("10.0.0.2\tweb-0"));
  assert.ok(lines.includes("fd00::2\tweb-0"));
});

test("pod files: resolv.conf says what dns_config says and nothing more", () => {
  assert.equal(
    resolvConfText({ servers: ["10.96.0.10", "fd00::a"], searches: ["a.b", "b"], options: ["ndots:5"] }),
    "nameserver 10.96.0.10\nnameserver fd00::a\nsearch a.b b\noptions ndots:5\n",
  );
  assert.equal(resolvConfText({ servers: [], searches: [], options: [] }), "");
});
