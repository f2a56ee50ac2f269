import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "./client.ts";
import { findContainer, findPod } from "./find.ts";

const id = (start: string): string => start.padEnd(64, "0");

const pods = [
  { id: id("aa1"), state: "SANDBOX_READY", metadata: { name: "web", namespace: "default" } },
  { id: id("aa2"), state: "SANDBOX_NOTREADY", metadata: { name: "web", namespace: "default" } },
  { id: id("bb1"), state: "SANDBOX_READY", metadata: { name: "db", namespace: "one" } },
  { id: id("cc1"), state: "SANDBOX_READY", metadata: { name: "db", namespace: "two" } },
  { id: id("dd1"), state: "SANDBOX_READY", metadata: { name: "aa1", namespace: "default" } },
];
const containers = [
  { id: id("c1"), pod_sandbox_id: id("aa1"), state: "CONTAINER_EXITED", metadata: { name: "app" } },
  { id: id("c2"), pod_sandbox_id: id("aa1"), state: "CONTAINER_RUNNING", metadata: { name: "app" } },
  { id: id("d1"), pod_sandbox_id: id("bb1"), state: "CONTAINER_RUNNING", metadata: { name: "side" } },
  { id: id("d2"), pod_sandbox_id: id("cc1"), state: "CONTAINER_RUNNING", metadata: { name: "side" } },
];
const client = {
  runtime: {
    ListPodSandbox: () => Promise.resolve({ items: pods }),
    ListContainers: () => Promise.resolve({ containers }),
  },
} as unknown as Client;

for (const [word, expected] of [
  [id("aa1"), id("aa1")],
  ["bb", id("bb1")],
  ["web", id("aa1")],
  ["two/db", id("cc1")],
  ["aa1", id("dd1")],
] as const) {
  test(`find: the pod ${word}`, async () => {
    assert.equal((await findPod(client, word)).id, expected);
  });
}

for (const [word, code, expected] of [
  ["db", "invalid-argument", /^pod "db" may be any of 2: bb1\d+, cc1\d+$/],
  ["aa", "invalid-argument", /^pod "aa" may be any of 2/],
  ["ff", "not-found", /^no pod "ff"$/],
  ["", "not-found", /^no pod ""$/],
] as const) {
  test(`find: the pod ${JSON.stringify(word)} is not to be told`, async () => {
    await assert.rejects(findPod(client, word), { code, message: expected });
  });
}

for (const [word, expected] of [
  ["c1", id("c1")],
  ["app", id("c2")],
  ["web/app", id("c2")],
] as const) {
  test(`find: the container ${word}`, async () => {
    assert.equal((await findContainer(client, word)).id, expected);
  });
}

test("find: containers of one name in two pods are not to be told apart", async () => {
  await assert.rejects(findContainer(client, "side"), { code: "invalid-argument" });
});
