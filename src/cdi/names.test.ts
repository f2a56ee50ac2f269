import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { parseDeviceName, requestedDevices } from "./names.ts";

test("device names: vendor, class and name", () => {
  for (const text of ["vendor.com/device=0", "nvidia.com/gpu=all", "a/b=c", "v-1.x/net_x.y=GPU-1:2.3_4"]) {
    assert.equal(parseDeviceName("f", text), text);
  }
});

for (const text of [
  "",
  "gpu0",
  "/dev/null",
  "vendor.com/gpu",
  "vendor.com=gpu",
  "vendor.com/gpu=",
  "=x",
  "/gpu=x",
  "vendor.com/=x",
  "vendor.com/a/b=x",
  "1vendor.com/gpu=x",
  "vendor.com/gpu=a/b",
  "vendor.com/gpu=a b",
  "vendor.com/gpu=a=b",
  "vendor.com/gpu=a-",
  "vendor.com/gpu=a\n",
  `vendor.com/gpu=${"x".repeat(1000)}`,
]) {
  test(`device names: ${JSON.stringify(text.slice(0, 40))} is refused with the field's name`, () => {
    assert.throws(
      () => parseDeviceName("config.CDI_devices[0]", text),
      (error) => hasCode(error, "invalid-argument") && error.message.startsWith("config.CDI_devices[0]: "),
    );
  });
}

test("device names: of the field and of annotations, each once, in a certain order", () => {
  const annotations = {
    "cdi.k8s.io/z": "v/c=3,v/c=1",
    "cdi.k8s.io/a": "v/c=2",
    "other/cdi.k8s.io": "no name",
  };
  assert.deepEqual(requestedDevices(["v/c=1"], annotations), ["v/c=1", "v/c=2", "v/c=3"]);
  assert.throws(() => requestedDevices([], { "cdi.k8s.io/a": "v/c=1, v/c=2" }), {
    message: /^config\.annotations\[cdi\.k8s\.io\/a\]: " v\/c=2" is not/,
  });
});
