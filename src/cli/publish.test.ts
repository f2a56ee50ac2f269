import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { readPair } from "./labels.ts";
import { readPublish } from "./publish.ts";

for (const [word, host_ip, host_port, container_port, protocol] of [
  ["8080:80", "", 8080, 80, "TCP"],
  ["127.0.0.1:53:53/udp", "127.0.0.1", 53, 53, "UDP"],
  ["[fd00::1]:1:65535/sctp", "fd00::1", 1, 65_535, "SCTP"],
] as const) {
  test(`publish: ${word}`, () => {
    assert.deepEqual(readPublish(word), { host_ip, host_port, container_port, protocol });
  });
}

for (const word of ["", "80", "0:80", "80:65536", "80:80/icmp", "host:80:80", "fd00::1:80:80", "80:80 "]) {
  test(`publish: ${JSON.stringify(word)} is refused`, () => {
    assert.throws(
      () => readPublish(word),
      (error) => hasCode(error, "invalid-argument") && error.message.startsWith("--publish"),
    );
  });
}

test("labels: the first equals sign parts key and value", () => {
  assert.deepEqual(readPair("env", "A=b=c"), ["A", "b=c"]);
  for (const word of ["", "A", "=b"]) assert.throws(() => readPair("env", word), /^RuntimeError: --env: /);
});
