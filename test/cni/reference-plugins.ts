import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { access, chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { needsRoot } from "./namespaces.ts";

const run = promisify(execFile);

/** The folder with the reference plugins: installed ones, else those of Debian's package, fetched into a temporary folder. */
async function findReferencePlugins(temporary: string): Promise<string> {
  for (const folder of ["/opt/cni/bin", "/usr/lib/cni"]) {
    const found = await access(join(folder, "bridge")).then(
      () => true,
      () => false,
    );
    if (found) return folder;
  }
  // apt drops its rights to write.
  await chmod(temporary, 0o777);
  await run("apt-get", ["download", "containernetworking-plugins"], { cwd: temporary, timeout: 60_000 });
  await run("sh", ["-c", "dpkg -x containernetworking-plugins_*.deb ."], { cwd: temporary });
  return join(temporary, "usr/lib/cni");
}

const temporary = await mkdtemp(join(tmpdir(), "berth-reference-"));
process.on("exit", () => {
  rmSync(temporary, { recursive: true });
});
const reference = await findReferencePlugins(temporary).catch((error: unknown) => {
  return { skip: `no reference plugins: ${error instanceof Error ? error.message : String(error)}` };
});
/** Skips a test where there are none. */
export const available = typeof reference === "string" ? needsRoot : reference;
/** Their folder. */
export const plugins = typeof reference === "string" ? reference : "";

/** A call of a reference plugin. */
export interface ReferenceCall {
  readonly command: "ADD" | "DEL" | "CHECK";
  readonly type: string;
  readonly containerId: string;
  readonly netns: string;
  readonly conf: object;
  /** CNI_ARGS. */
  readonly args?: string;
}

/** Runs a reference plugin; one that fails fails the test. Gives what it printed. */
export async function callReference(call: ReferenceCall): Promise<string> {
  const child = execFile(join(plugins, call.type), {
    env: {
      PATH: process.env["PATH"],
      CNI_COMMAND: call.command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netns,
      CNI_IFNAME: "eth0",
      CNI_ARGS: call.args ?? "",
      CNI_PATH: plugins,
    },
  });
  child.stdin?.end(JSON.stringify(call.conf));
  const chunks: string[] = [];
  child.stdout?.on("data", (chunk: string) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const text = chunks.join("");
  assert.equal(code, 0, `${call.type} ${call.command}: ${text}`);
  return text;
}

/** What differs from one run to the next, put at rest; newer reference plugins leave an empty `dns` out. */
export function normalised(result: object): unknown {
  const text = JSON.stringify(result)
    .replaceAll(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, "MAC")
    .replaceAll(/veth[0-9a-f]{8}/g, "VETH")
    .replaceAll(/,"dns":\{\}|"dns":\{\},/g, "")
    .replaceAll(/\/proc\/\d+\/ns\/net/g, "NETNS");
  return JSON.parse(text) as unknown;
}
