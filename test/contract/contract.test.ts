import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as protoLoader from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { type Facts, differences, factsOf } from "./facts.ts";

const RPC_COUNT = 41;

const protoPath = fileURLToPath(new URL("../../api/runtime/v1/api.proto", import.meta.url));
const protoText = readFileSync(protoPath, "utf8");
const contractJson = readFileSync(new URL("contract.json", import.meta.url), "utf8");

const contract = factsOf(protobuf.Root.fromJSON(JSON.parse(contractJson) as protobuf.INamespace));

function parseFacts(text: string): Facts {
  return factsOf(protobuf.parse(text, new protobuf.Root(), { keepCase: true }).root);
}

/** Counts the facts of one sort, such as "rpc". */
function count(facts: Facts, sort: string): number {
  return [...facts.values()].filter((fact) => fact === sort).length;
}

/** Counts the named members of every `key` object in the JSON, wherever it stands, without any schema reader. */
function countJsonMembers(value: unknown, key: string): number {
  if (typeof value !== "object" || value === null) return 0;
  return Object.entries(value).reduce((sum, [name, child]: [string, unknown]) => {
    const own = name === key ? Object.keys(child as object).length : 0;
    return sum + own + countJsonMembers(child, key);
  }, 0);
}

describe("api.proto", () => {
  it("equals the contract in every statement", () => {
    assert.deepEqual(differences(contract, parseFacts(protoText)), []);
  });

  it(`has ${String(RPC_COUNT)} rpcs`, () => {
    assert.equal(count(parseFacts(protoText), "rpc"), RPC_COUNT);
    assert.equal(count(contract, "rpc"), RPC_COUNT);
  });

  it("explains every rpc, message and enum", () => {
    const root = protobuf.parse(protoText, new protobuf.Root(), {
      keepCase: true,
      alternateCommentMode: true,
    }).root;
    assert.deepEqual(uncommented(root), []);
  });
});

/** Paths of the rpcs, messages and enums that have no comment. */
function uncommented(object: protobuf.ReflectionObject): string[] {
  const children: protobuf.ReflectionObject[] = [];
  if (object instanceof protobuf.Service) children.push(...object.methodsArray);
  if (object instanceof protobuf.Namespace) children.push(...object.nestedArray);
  const explained =
    !(
      object instanceof protobuf.Type ||
      object instanceof protobuf.Enum ||
      object instanceof protobuf.Method
    ) || object.comment !== null;
  return [...(explained ? [] : [object.fullName]), ...children.flatMap(uncommented)];
}

describe("the comparison", () => {
  it("sees everything that the contract's file holds", () => {
    const json: unknown = JSON.parse(contractJson);
    assert.equal(count(contract, "field"), countJsonMembers(json, "fields"));
    assert.equal(count(contract, "rpc"), countJsonMembers(json, "methods"));
    const values = [...contract.values()].filter((fact) => fact.startsWith("value "));
    assert.equal(values.length, countJsonMembers(json, "values"));
    const objects = ["package", "service", "message", "enum"].map((sort) => count(contract, sort));
    assert.equal(
      objects.reduce((sum, n) => sum + n, 0),
      countJsonMembers(json, "nested"),
    );
  });

  const P = "runtime.v1";
  const changes: readonly { what: string; from: string; to: string; found: readonly string[] }[] = [
    {
      what: "a field's number",
      from: "bool readonly = 3;",
      to: "bool readonly = 33;",
      found: [`${P}.Mount.readonly#number: expected 3, found 33`],
    },
    {
      what: "a field's type",
      from: "int64 timeout = 2;",
      to: "int32 timeout = 2;",
      found: [`${P}.StopContainerRequest.timeout#type: expected int64, found int32`],
    },
    {
      what: "a field's message type",
      from: "CpuUsage cpu = 2;",
      to: "MemoryUsage cpu = 2;",
      found: [`${P}.ContainerStats.cpu#type: expected ${P}.CpuUsage, found ${P}.MemoryUsage`],
    },
    {
      what: "a repeated field made singular",
      from: "repeated PodIP additional_ips",
      to: "PodIP additional_ips",
      found: [`${P}.PodSandboxNetworkStatus.additional_ips#label: expected repeated, found singular`],
    },
    {
      what: "a singular field made optional",
      from: "string page_size = 1;",
      to: "optional string page_size = 1;",
      found: [`${P}.HugepageLimit.page_size#label: expected singular, found optional`],
    },
    {
      what: "a packed field unpacked",
      from: "repeated int32 port = 2;",
      to: "repeated int32 port = 2 [packed = false];",
      found: [`${P}.PortForwardRequest.port#label: expected repeated, packed, found repeated`],
    },
    {
      what: "a map's key",
      from: "map<string, string> sysctls",
      to: "map<int32, string> sysctls",
      found: [`${P}.LinuxPodSandboxConfig.sysctls#label: expected map by string, found map by int32`],
    },
    {
      what: "a map's value",
      from: "map<string, string> sysctls",
      to: "map<string, bytes> sysctls",
      found: [`${P}.LinuxPodSandboxConfig.sysctls#type: expected string, found bytes`],
    },
    {
      what: "a map made repeated",
      from: "map<string, string> sysctls",
      to: "repeated string sysctls",
      found: [`${P}.LinuxPodSandboxConfig.sysctls#label: expected map by string, found repeated`],
    },
    {
      what: "a field's name",
      from: "repeated CDIDevice CDI_devices",
      to: "repeated CDIDevice cdi_devices",
      found: [
        `${P}.ContainerConfig.CDI_devices: expected field, found nothing`,
        `${P}.ContainerConfig.cdi_devices: expected nothing, found field`,
      ],
    },
    {
      what: "a field left out",
      from: "string pod_cidr = 1;",
      to: "",
      found: [`${P}.NetworkConfig.pod_cidr: expected field, found nothing`],
    },
    {
      what: "a field too many",
      from: "string pod_cidr = 1;",
      to: "string pod_cidr = 1; string more = 2;",
      found: [`${P}.NetworkConfig.more: expected nothing, found field`],
    },
    {
      what: "a field moved into a oneof",
      from: "string pod_cidr = 1;",
      to: "oneof range { string pod_cidr = 1; }",
      found: [
        `${P}.NetworkConfig.pod_cidr#oneof: expected nothing, found range`,
        `${P}.NetworkConfig.range: expected nothing, found oneof of pod_cidr`,
      ],
    },
    {
      what: "a reserved number",
      from: "string pod_cidr = 1;",
      to: "string pod_cidr = 1; reserved 4 to 6;",
      found: [`${P}.NetworkConfig#reserved numbers 4 to 6: expected nothing, found reserved`],
    },
    {
      what: "a reserved name",
      from: "string pod_cidr = 1;",
      to: 'string pod_cidr = 1; reserved "gone";',
      found: [`${P}.NetworkConfig#reserved name gone: expected nothing, found reserved`],
    },
    {
      what: "an option left out",
      from: "string password = 2 [debug_redact = true];",
      to: "string password = 2;",
      found: [`${P}.AuthConfig.password#option debug_redact: expected true, found nothing`],
    },
    {
      what: "an enum's value",
      from: "CGROUPFS = 1;",
      to: "CGROUPFS = 2;",
      found: [`${P}.CgroupDriver.CGROUPFS: expected value 1, found value 2`],
    },
    {
      what: "an enum's value too many",
      from: "CGROUPFS = 1;",
      to: "CGROUPFS = 1; NONE = 2;",
      found: [`${P}.CgroupDriver.NONE: expected nothing, found value 2`],
    },
    {
      what: "a nested enum's value",
      from: "Localhost = 2;",
      to: "Localhost = 3;",
      found: [`${P}.SecurityProfile.ProfileType.Localhost: expected value 2, found value 3`],
    },
    {
      what: "a message too many",
      from: "message ImageFsInfoRequest {}",
      to: "message ImageFsInfoRequest { message Inner {} }",
      found: [`${P}.ImageFsInfoRequest.Inner: expected nothing, found message`],
    },
    {
      what: "an rpc left out",
      from: "rpc RemoveImage(RemoveImageRequest) returns (RemoveImageResponse) {}",
      to: "",
      found: [`${P}.ImageService.RemoveImage: expected rpc, found nothing`],
    },
    {
      what: "an rpc's request",
      from: "rpc Exec(ExecRequest)",
      to: "rpc Exec(ExecSyncRequest)",
      found: [`${P}.RuntimeService.Exec#request: expected ${P}.ExecRequest, found ${P}.ExecSyncRequest`],
    },
    {
      what: "an rpc's response",
      from: "returns (ExecResponse)",
      to: "returns (AttachResponse)",
      found: [`${P}.RuntimeService.Exec#response: expected ${P}.ExecResponse, found ${P}.AttachResponse`],
    },
    {
      what: "an rpc's request made a stream",
      from: "rpc Exec(ExecRequest)",
      to: "rpc Exec(stream ExecRequest)",
      found: [`${P}.RuntimeService.Exec#request-stream: expected false, found true`],
    },
    {
      what: "an rpc's response no longer a stream",
      from: "returns (stream ContainerEventResponse)",
      to: "returns (ContainerEventResponse)",
      found: [`${P}.RuntimeService.GetContainerEvents#response-stream: expected true, found false`],
    },
    {
      what: "the package",
      from: "package runtime.v1;",
      to: "package runtime.v2;",
      found: [`${P}: expected package, found nothing`, "runtime.v2: expected nothing, found package"],
    },
  ];
  for (const { what, from, to, found } of changes) {
    it(`detects ${what}`, () => {
      assert.equal(protoText.includes(from), true, `api.proto has no "${from}"`);
      const lines = differences(contract, parseFacts(protoText.replace(from, to)));
      for (const line of found) assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
    });
  }
});

describe("@grpc/proto-loader", () => {
  const definition = protoLoader.loadSync(protoPath, {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });

  it("finds every rpc under its path, with its streaming flags", () => {
    const loaded = ["RuntimeService", "ImageService"].flatMap((name) =>
      Object.values(definition[`runtime.v1.${name}`] as protoLoader.ServiceDefinition),
    );
    const actual = loaded.map((m) => `${m.path} ${String(m.requestStream)} ${String(m.responseStream)}`);
    const expected = [...contract].flatMap(([path, fact]) => {
      if (fact !== "rpc") return [];
      const flags = [contract.get(`${path}#request-stream`), contract.get(`${path}#response-stream`)];
      return [`/${path.replace(/\.(?=[^.]*$)/, "/")} ${flags.join(" ")}`];
    });
    assert.deepEqual(actual.sort(), expected.sort());
    assert.equal(actual.length, RPC_COUNT);
  });

  it("carries a request over the wire unchanged, int64 and enums as text", () => {
    const service = definition["runtime.v1.RuntimeService"] as protoLoader.ServiceDefinition;
    const rpc = service["CreateContainer"];
    assert.ok(rpc);
    const resources = { cpu_quota: "-1", memory_limit_in_bytes: "9223372036854775807" };
    const sent = {
      pod_sandbox_id: "p1",
      config: { CDI_devices: [{ name: "v.com/c=d" }], stop_signal: "SIGTERM", linux: { resources } },
    };
    const received = rpc.requestDeserialize(rpc.requestSerialize(sent)) as typeof sent;
    assert.equal(received.pod_sandbox_id, "p1");
    assert.deepEqual(received.config.CDI_devices, sent.config.CDI_devices);
    assert.equal(received.config.stop_signal, "SIGTERM");
    assert.equal(received.config.linux.resources.cpu_quota, "-1");
    assert.equal(received.config.linux.resources.memory_limit_in_bytes, "9223372036854775807");
  });
});
