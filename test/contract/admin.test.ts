import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as protoLoader from "@grpc/proto-loader";

const protoPath = fileURLToPath(new URL("../../api/berth/v1/admin.proto", import.meta.url));

describe("admin.proto", () => {
  const definition = protoLoader.loadSync(protoPath, {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const admin = definition["berth.v1.Admin"] as protoLoader.ServiceDefinition;

  it("has its rpcs under their paths, with their streaming flags", () => {
    const rpcs = Object.values(admin).map((m) => [m.path, m.requestStream, m.responseStream]);
    assert.deepEqual(rpcs, [
      ["/berth.v1.Admin/Info", false, false],
      ["/berth.v1.Admin/ListJobs", false, false],
      ["/berth.v1.Admin/ImportImage", true, false],
      ["/berth.v1.Admin/ImageFromHost", false, false],
      ["/berth.v1.Admin/SaveImages", false, true],
      ["/berth.v1.Admin/ExportContainer", false, true],
      ["/berth.v1.Admin/CommitContainer", false, false],
      ["/berth.v1.Admin/ImportRootfs", true, false],
      ["/berth.v1.Admin/TagImage", false, false],
      ["/berth.v1.Admin/PushImage", false, false],
      ["/berth.v1.Admin/SearchRegistry", false, false],
      ["/berth.v1.Admin/DiskUsage", false, false],
      ["/berth.v1.Admin/CollectGarbage", false, false],
      ["/berth.v1.Admin/CheckStore", false, false],
      ["/berth.v1.Admin/ContainerExec", true, true],
    ]);
  });

  const frames: readonly [string, Record<string, unknown>][] = [
    ["start", { container_id: "c1", cmd: ["sh", "-c", "true"], tty: true, stdin: true, rows: 24, cols: 80 }],
    ["resize", { rows: 50, cols: 200 }],
    ["exit", { code: 137, message: "killed by signal 9" }],
  ];
  for (const [kind, content] of frames) {
    it(`tells a ${kind} frame from the others`, () => {
      const received = roundTrip({ [kind]: content });
      assert.equal(received["frame"], kind);
      assert.deepEqual(received[kind], content);
    });
  }

  for (const kind of ["stdin", "stdout", "stderr"]) {
    it(`tells an empty ${kind} frame from the others`, () => {
      const received = roundTrip({ [kind]: Buffer.alloc(0) });
      assert.equal(received["frame"], kind);
    });
  }

  function roundTrip(frame: object): Record<string, unknown> {
    const rpc = admin["ContainerExec"];
    assert.ok(rpc);
    return rpc.requestDeserialize(rpc.requestSerialize(frame)) as Record<string, unknown>;
  }
});
