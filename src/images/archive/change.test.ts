import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChange } from "./change.ts";

const good: readonly (readonly [string, object, object])[] = [
  ['CMD ["a", "b c"]', { Cmd: ["x"] }, { Cmd: ["a", "b c"] }],
  ["cmd echo $HOME", {}, { Cmd: ["/bin/sh", "-c", "echo $HOME"] }],
  ['ENTRYPOINT ["/init"]', { Cmd: ["old"] }, { Entrypoint: ["/init"], Cmd: undefined }],
  ["ENV A=1", { Env: ["A=0", "B=2"] }, { Env: ["B=2", "A=1"] }],
  ["ENV A with spaces", {}, { Env: ["A=with spaces"] }],
  ["ENV A=", {}, { Env: ["A="] }],
  [
    "EXPOSE 80 53/udp",
    { ExposedPorts: { "1/tcp": {} } },
    { ExposedPorts: { "1/tcp": {}, "80/tcp": {}, "53/udp": {} } },
  ],
  ['LABEL org.x="a b"', { Labels: { y: "1" } }, { Labels: { y: "1", "org.x": "a b" } }],
  ["STOPSIGNAL SIGINT", {}, { StopSignal: "SIGINT" }],
  ["USER 1000:1000", {}, { User: "1000:1000" }],
  ["VOLUME /a /b", {}, { Volumes: { "/a": {}, "/b": {} } }],
  ["WORKDIR /srv", {}, { WorkingDir: "/srv" }],
];

for (const [change, before, after] of good) {
  test(`change: ${change}`, () => {
    assert.deepEqual(applyChange(before as Record<string, unknown>, change), after);
  });
}

for (const change of [
  "",
  "RUN rm -rf /",
  "CMD",
  "CMD [1]",
  "CMD [",
  "ENV =x",
  "EXPOSE 70000",
  "EXPOSE x",
  "WORKDIR a",
]) {
  test(`change: refuses ${JSON.stringify(change)}`, () => {
    assert.throws(() => applyChange({}, change), { code: "invalid-argument" });
  });
}
