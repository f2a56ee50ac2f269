import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { parseSpecFile } from "../../src/cdi/spec-file.ts";
import { parseConfList, parseSingleConf } from "../../src/cni/conf.ts";
import { readResult } from "../../src/cni/result.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { FrameDecoder as SpdyDecoder } from "../../src/cri/streaming/spdy/decoder.ts";
import { control, dataHeader, ping, rstStream, words } from "../../src/cri/streaming/spdy/encoder.ts";
import { controlType } from "../../src/cri/streaming/spdy/frames.ts";
import { formatHeaderBlock, parseHeaderBlock } from "../../src/cri/streaming/spdy/header-block.ts";
import { HeaderDeflater, HeaderInflater } from "../../src/cri/streaming/spdy/header-compression.ts";
import { readTar } from "../../src/images/archive/tar-reader.ts";
import { parseConfig, parseDocument } from "../../src/images/documents.ts";
import { parseReference } from "../../src/images/reference.ts";
import { parseImageUser, resolveUser } from "../../src/oci/user.ts";
import { parseSeccompProfile } from "../../src/oci/seccomp/parse-profile.ts";
import { FrameDecoder as ShimDecoder } from "../../src/shim/client/frames.ts";
import { buildTar } from "../images/tar-builder.ts";
import { cat, execRequest, startServer } from "../streaming/fixture.ts";
import { mutate, mutateJson, type Random } from "./mutate.ts";

/** What one parser is given, and how. */
export interface Target {
  readonly make: (random: Random) => Buffer;
  /** Throws nothing but a RuntimeError, in bounded time and memory. */
  readonly run: (input: Buffer) => unknown;
}

function text(parse: (text: string) => unknown, ...corpus: readonly (string | Buffer)[]): Target {
  const bytes = corpus.map((one) => Buffer.from(one as string));
  return { make: (random) => mutate(random, bytes), run: (input) => parse(input.toString("utf8")) };
}

/** Documents of JSON: every second one is a whole document with odd values, the others are broken bytes. */
function json(parse: (text: string) => unknown, ...corpus: readonly object[]): Target {
  const bytes = corpus.map((one) => Buffer.from(JSON.stringify(one)));
  return {
    make: (random) => (random.below(2) === 0 ? mutateJson(random, corpus) : mutate(random, bytes)),
    run: (input) => parse(input.toString("utf8")),
  };
}

const digest = `sha256:${"ab".repeat(32)}`;
const layer = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest,
  size: 7,
  urls: ["https://x"],
};
const manifest = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 2 },
  layers: [layer, layer],
  annotations: { a: "b" },
};
const index = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [
    {
      ...manifest.config,
      mediaType: manifest.mediaType,
      platform: { os: "linux", architecture: "amd64", variant: "v8" },
    },
  ],
};
const imageConfig = {
  os: "linux",
  architecture: "amd64",
  created: "2020-01-01T00:00:00Z",
  config: {
    User: "1:1",
    Env: ["A=b"],
    Entrypoint: ["/x"],
    Cmd: ["y"],
    Volumes: { "/v": {} },
    WorkingDir: "/",
    StopSignal: "9",
  },
  rootfs: { type: "layers", diff_ids: [digest] },
};
const conflist = {
  cniVersion: "1.0.0",
  name: "net",
  plugins: [
    { type: "bridge", bridge: "b0", ipam: { type: "host-local", ranges: [[{ subnet: "10.0.0.0/8" }]] } },
    { type: "portmap" },
  ],
};
const result = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", mac: "00:11:22:33:44:55", sandbox: "/run/netns/x", mtu: 1500 }],
  ips: [{ address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1", mtu: 1, priority: 2, table: 3, scope: 4 }],
  dns: { nameservers: ["1.1.1.1"], domain: "x", search: ["y"], options: ["z"] },
};
const seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
  syscalls: [
    {
      names: ["read"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value: 1, valueTwo: 2, op: "SCMP_CMP_MASKED_EQ" }],
      includes: { caps: ["CAP_X"], minKernel: "4.8" },
    },
  ],
};
const cdi = {
  cdiVersion: "0.6.0",
  kind: "vendor.com/gpu",
  devices: [
    { name: "0", containerEdits: { deviceNodes: [{ path: "/dev/x", permissions: "rw" }], env: ["A=b"] } },
  ],
  containerEdits: {
    mounts: [{ hostPath: "/a", containerPath: "/b", options: ["ro"] }],
    hooks: [{ hookName: "createRuntime", path: "/x" }],
  },
};

/** CNI results come as parsed JSON; what is no object is refused before. */
function readCniResult(input: string): void {
  const value: unknown = parseOrRefuse(input);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    readResult(value as Parameters<typeof readResult>[0], "result");
  }
}

function parseOrRefuse(input: string): unknown {
  try {
    return JSON.parse(input) as unknown;
  } catch (cause) {
    throw new RuntimeError("invalid-argument", "no JSON", { cause });
  }
}

async function readWholeTar(input: Buffer): Promise<void> {
  for await (const { data } of readTar(pieces(input))) await buffer(data);
}

// eslint-disable-next-line @typescript-eslint/require-await -- a stream of what is in memory
async function* pieces(input: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < input.length; at += 1000) yield input.subarray(at, at + 1000);
}

const headers = { ":method": "POST", streamtype: "stdin", port: "80", requestid: "1" };

function synStream(): Buffer {
  const block = new HeaderDeflater().deflate(formatHeaderBlock(new Map(Object.entries(headers))));
  return Buffer.concat([
    control(controlType.synStream, 0, 10 + block.length),
    words(1, 0),
    Buffer.alloc(2),
    block,
  ]);
}

const syn = synStream();
const spdyCorpus = [
  syn,
  Buffer.concat([syn, dataHeader(1, 5, "more"), Buffer.from("hello"), dataHeader(1, 0, "fin")]),
  Buffer.concat([ping(1), rstStream(1, 5), control(controlType.settings, 0, 12), words(1, 4, 100)]),
  Buffer.concat([
    syn,
    syn,
    control(controlType.goAway, 0, 8),
    words(1, 0),
    control(controlType.windowUpdate, 0, 8),
    words(1, 9),
  ]),
];

/** Frames, and the header blocks in them. */
async function readSpdy(input: Buffer): Promise<void> {
  const inflater = new HeaderInflater();
  try {
    for (const frame of new SpdyDecoder().push(input)) {
      if ("block" in frame) parseHeaderBlock(await inflater.inflate(frame.block));
    }
  } finally {
    inflater.close();
  }
}

const webSocketCorpus = [
  // Masked with zeros: a binary message of channel 0, one in two parts, a ping, a close, a text.
  Buffer.from("8286000000000068656c6c6f", "hex"),
  Buffer.from("02830000000000616280830000000000636489800000000088820000000003e8", "hex"),
  Buffer.from("81850000000068656c6c6f", "hex"),
  Buffer.from("82fe010000000000" + "00".repeat(256), "hex"),
];

/** A live server: whatever comes after a valid upgrade, it ends the connection or waits for more, and serves on. */
async function liveTarget(upgrade: string, corpus: readonly Buffer[]): Promise<Target> {
  const server = await startServer(cat, { idleTimeoutMs: 1000, streamCreationTimeoutMs: 100, lingerMs: 1 });
  return {
    make: (random) => mutate(random, corpus),
    run: async (input) => {
      const url = new URL(server.exec(execRequest()));
      const socket = connect(Number(url.port), url.hostname);
      const { promise: over, resolve } = Promise.withResolvers<undefined>();
      socket
        .on("error", () => undefined)
        .on("close", () => {
          resolve(undefined);
        });
      socket.write(`POST ${url.pathname} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n${upgrade}\r\n\r\n`);
      await new Promise((go) => socket.once("data", go).once("close", go));
      socket.end(input);
      socket.resume();
      await over;
    },
  };
}

const spdyUpgrade = "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io";
const webSocketUpgrade =
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
  "Sec-WebSocket-Protocol: v5.channel.k8s.io";

const passwd = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n# no\n\n";
const group = "root:x:0:\nweb:x:1001:web\nextra:x:3000:a,web\n";

/** Every parser of this process that faces somebody outside, by name; live servers are made when asked for. */
export const targets: Readonly<Record<string, () => Target | Promise<Target>>> = {
  manifests: () => json((input) => parseDocument(input, "manifest"), manifest, index),
  "image configs": () => json((input) => parseConfig(input, "config"), imageConfig),
  references: () => text(parseReference, "host.example:5000/a/b:1", `busybox@${digest}`, "[::1]:5000/x"),
  "/etc/passwd": () =>
    text(
      (input) =>
        resolveUser({ passwd: input, group, imageUser: "web", supplementalGroups: [], policy: "merge" }),
      passwd,
    ),
  "/etc/group": () =>
    text(
      (input) =>
        resolveUser({
          passwd,
          group: input,
          imageUser: "web:extra",
          supplementalGroups: [],
          policy: "merge",
        }),
      group,
    ),
  "image users": () => text(parseImageUser, "web:extra", "1000:1000", "0", "4294967296"),
  "CNI results": () => json(readCniResult, result),
  "CNI network lists": () => json((input) => parseConfList(input, "list"), conflist),
  "CNI configurations": () =>
    json((input) => parseSingleConf(input, "conf"), { ...conflist.plugins[0], name: "n" }),
  "CDI specs": () => json((input) => parseSpecFile(input, "json"), cdi),
  "CDI specs in YAML": () =>
    text(
      (input) => parseSpecFile(input, "yaml"),
      "cdiVersion: 0.6.0\nkind: a.b/c\ndevices:\n- name: x\n  containerEdits: {env: [A=b]}\n",
    ),
  "seccomp profiles": () => json((input) => parseSeccompProfile(input, "profile"), seccomp),
  "image archives": () => ({
    make: (random) =>
      mutate(random, [
        buildTar([
          { name: "index.json", data: "{}" },
          { name: "l", type: "2", linkName: "index.json" },
        ]),
        buildTar([{ name: "x", data: "x", pax: { path: "long/name", size: "1" } }]),
      ]),
    run: readWholeTar,
  }),
  "the shim's frames": () => ({
    make: (random) =>
      mutate(random, [Buffer.from("\x02\0\0\0\0{}"), Buffer.from("\x05\0\0\0\x01hello\x02\0\0\0\0{}")]),
    run: (input) => [...new ShimDecoder().push(input)],
  }),
  "SPDY frames": () => ({ make: (random) => mutate(random, spdyCorpus), run: readSpdy }),
  "a SPDY server": () => liveTarget(spdyUpgrade, spdyCorpus),
  "a WebSocket server": () => liveTarget(webSocketUpgrade, webSocketCorpus),
};
