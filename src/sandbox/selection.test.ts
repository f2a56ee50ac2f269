import assert from "node:assert/strict";
import { test } from "node:test";
import { containerRecord, podConfig, podRecord } from "./records.fixture.ts";
import { selectsContainer, selectsPod } from "./selection.ts";

const pod = podRecord({ config: podConfig({ labels: { app: "web", tier: "front" } }) });
const container = containerRecord(pod.id);

for (const [name, filter, expected] of [
  ["nothing asked", { id: "", labels: {} }, true],
  ["a prefix of the id", { id: pod.id.slice(0, 8), labels: {} }, true],
  ["another id", { id: "x", labels: {} }, false],
  ["its state", { id: "", ready: "ready", labels: {} }, true],
  ["another state", { id: "", ready: "not-ready", labels: {} }, false],
  ["one of its labels", { id: "", labels: { app: "web" } }, true],
  ["a label with another value", { id: "", labels: { app: "web", tier: "back" } }, false],
] as const) {
  test(`selection: a pod by ${name}`, () => {
    assert.equal(selectsPod(filter, pod), expected);
  });
}

test("selection: what is being made is not listed", () => {
  assert.equal(selectsPod({ id: "", labels: {} }, podRecord({ state: { state: "creating" } })), false);
  const creating = containerRecord(pod.id, { state: { state: "creating" } });
  assert.equal(selectsContainer({ id: "", podId: "", labels: {} }, creating), false);
});

for (const [name, filter, expected] of [
  ["its pod", { id: "", podId: pod.id, labels: {} }, true],
  ["another pod", { id: "", podId: "f".repeat(64), labels: {} }, false],
  ["its state", { id: "", podId: "", state: "running", labels: {} }, true],
  ["another state", { id: "", podId: "", state: "exited", labels: {} }, false],
  ["state and id together", { id: container.id, podId: pod.id, state: "running", labels: {} }, true],
] as const) {
  test(`selection: a container by ${name}`, () => {
    assert.equal(selectsContainer(filter, container), expected);
  });
}
