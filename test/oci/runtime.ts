import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spec } from "../../src/core/oci-runtime-spec.ts";

/** The command, as it is installed. */
export const berthOci = fileURLToPath(new URL("../../bin/berth-oci", import.meta.url));

const applets = ["sh", "sleep", "cat", "id", "true", "false", "ls", "stat", "mount", "touch", "tty"];
const timeoutMs = 30_000;

/** How a program ended. */
export interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end, its standard input from nowhere unless given. */
export function run(program: string, args: readonly string[], input?: string): Ended {
  const ended = spawnSync(program, args, {
    encoding: "utf8",
    timeout: timeoutMs,
    ...(input === undefined ? { stdio: ["ignore", "pipe", "pipe"] } : { input }),
  });
  return { status: ended.status, out: ended.stdout, err: ended.stderr };
}

/** A root with busybox. */
export function makeRootfs(folder: string): void {
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"])
    mkdirSync(join(folder, name), { recursive: true });
  copyFileSync("/bin/busybox", join(folder, "bin/busybox"));
  for (const applet of applets) symlinkSync("busybox", join(folder, "bin", applet));
  writeFileSync(
    join(folder, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nnina:x:1000:1000::/home/nina:/bin/sh\n",
  );
}

/** A folder with bundles and the runtime's records; disposed, with every container in it. */
export class OciHost implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "berth-oci-"));
  readonly cgroup = `/berth-oci-${randomBytes(4).toString("hex")}`;
  readonly #root = join(this.folder, "state");
  #bundles = 0;

  /** A bundle whose process runs `args`, with what `change` makes of its spec. */
  bundle(args: readonly string[], change: (spec: Spec) => Spec = (spec) => spec): string {
    const bundle = join(this.folder, `bundle-${this.#bundles++}`);
    makeRootfs(join(bundle, "rootfs"));
    run(berthOci, ["spec", "--bundle", bundle]);
    const spec = JSON.parse(run("cat", [join(bundle, "config.json")]).out) as Spec;
    const { process = { cwd: "/", args, user: { uid: 0, gid: 0 } }, linux } = spec;
    const plain: Spec = {
      ...spec,
      process: { ...process, terminal: false, args },
      linux: { ...linux, cgroupsPath: `${this.cgroup}/${this.#bundles}` },
    };
    writeFileSync(join(bundle, "config.json"), JSON.stringify(change(plain)));
    return bundle;
  }

  /** Calls the command on this host's records. */
  oci(...args: readonly string[]): Ended {
    return run(berthOci, ["--root", this.#root, ...args]);
  }

  /** The state document of a container. */
  state(id: string): { readonly status: string; readonly pid: number } {
    return JSON.parse(this.oci("state", id).out) as { status: string; pid: number };
  }

  [Symbol.dispose](): void {
    for (const id of this.oci("list", "-q")
      .out.split("\n")
      .filter((line) => line !== "")) {
      this.oci("delete", "--force", id);
    }
    // The last container removes the parent only where it was the one that made it.
    for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
      run("rmdir", [join("/sys/fs/cgroup", hierarchy, this.cgroup)]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
