import assert from "node:assert/strict";
import { test } from "node:test";
import { loadServices } from "./definition.ts";
import { encodeOnce, encoderOf, joined, takingEncoded } from "./encoded.ts";
import type { PodSandboxStatusResponse } from "./types/runtime/v1/PodSandboxStatusResponse.ts";

const { service } = loadServices().runtime.v1.RuntimeService;
const encode = encoderOf<PodSandboxStatusResponse>(service.PodSandboxStatus);

test("encoded: parts put together are the message that has all their fields", () => {
  const whole: PodSandboxStatusResponse = {
    status: { id: "p", metadata: { name: "n", attempt: 1 }, labels: { a: "b" } },
    containers_statuses: [{ id: "one", exit_code: 3 }, { id: "two" }],
    info: { info: "{}" },
    timestamp: "7",
  };
  const { status = null, containers_statuses = [], ...rest } = whole;
  const parts = [
    encode({ status }),
    ...containers_statuses.map((one) => encode({ containers_statuses: [one] })),
    encode(rest),
  ];
  const { responseDeserialize: decode } = service.PodSandboxStatus;
  assert.deepEqual(decode(joined(parts)), decode(encode(whole)));
  assert.deepEqual(decode(joined([])), decode(encode({})));
});

test("encoded: a record is encoded once, the one that replaces it anew", () => {
  let count = 0;
  const part = encodeOnce(encode, (record: { readonly id: string }) => {
    count += 1;
    return { status: { id: record.id } };
  });
  const record = { id: "a" };
  assert.equal(part(record), part(record));
  assert.equal(count, 1);
  assert.deepEqual(part({ ...record, id: "b" }), encode({ status: { id: "b" } }));
  assert.equal(count, 2);
});

test("encoded: a service takes messages and bytes", () => {
  const { PodSandboxStatus } = takingEncoded(service);
  const message: PodSandboxStatusResponse = { timestamp: "5" };
  assert.deepEqual(PodSandboxStatus.responseSerialize(message), encode(message));
  const bytes = encode(message);
  assert.equal(PodSandboxStatus.responseSerialize(bytes as object), bytes);
  assert.equal(PodSandboxStatus.path, service.PodSandboxStatus.path);
});
