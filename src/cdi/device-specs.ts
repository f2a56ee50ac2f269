import { open, readdir, type FileHandle } from "node:fs/promises";
import { constants } from "node:fs";
import { extname, join } from "node:path";
import { asRuntimeError, RuntimeError } from "../core/errors.ts";
import { joinEdits, type Edits } from "./edits.ts";
import { joinName, type DeviceName } from "./names.ts";
import { parseSpecFile, type SpecFile } from "./spec-file.ts";

/** Bytes of one spec file; a machine with hundreds of device parts writes some 100 KiB. */
const maxSpecBytes = 4 * 1024 * 1024;
/** Spec files of one folder. */
const maxSpecFiles = 1000;
/** Files that an error names. */
const maxNamedFaults = 5;

/** A spec file that can be used, or why not. */
type Read = { readonly file: SpecFile } | { readonly fault: string };

/** A device and the file that it comes from. */
interface Found {
  readonly path: string;
  readonly folder: string;
  readonly file: SpecFile;
  readonly edits: Edits;
}

/** What resolving found. */
export interface ResolvedDevices {
  /** Those of each file once, before those of its devices. */
  readonly edits: Edits;
  /** Files that could not be used, which the devices did not need. */
  readonly warnings: readonly string[];
}

/**
 * The devices that spec files describe (Container Device Interface). The folders are looked at whenever devices are
 * asked for; a file is read again when it has changed. A later folder wins over an earlier one; two files of one folder
 * that have the same device make it unusable.
 */
export class DeviceSpecs {
  readonly #folders: readonly string[];
  readonly #kept = new Map<string, { readonly stamp: string; readonly read: Read }>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** What devices change of a container; throws `invalid-argument` that names one that is unknown or has two descriptions. */
  async resolve(names: readonly DeviceName[]): Promise<ResolvedDevices> {
    const devices = new Map<DeviceName, readonly Found[]>();
    const faults: string[] = [];
    for (const folder of this.#folders) await this.#readFolder(folder, devices, faults);
    const found = names.map((name) => choose(name, devices.get(name) ?? [], faults, this.#folders));
    const used = new Set<SpecFile>();
    const edits = found.flatMap((device) => {
      const first = !used.has(device.file);
      used.add(device.file);
      return first ? [device.file.edits, device.edits] : [device.edits];
    });
    return { edits: joinEdits(edits), warnings: faults };
  }

  async #readFolder(
    folder: string,
    devices: Map<DeviceName, readonly Found[]>,
    faults: string[],
  ): Promise<void> {
    const names = (await readdir(folder).catch(emptyWhereMissing)).filter(
      (name) => formatOf(name) !== undefined,
    );
    if (names.length > maxSpecFiles) {
      throw new RuntimeError("failed-precondition", `${folder}: more than ${maxSpecFiles} spec files`);
    }
    for (const path of names.toSorted().map((name) => join(folder, name))) {
      const read = await this.#read(path);
      if (read === undefined) continue;
      if ("fault" in read) {
        faults.push(`${path}: ${read.fault}`);
        continue;
      }
      for (const { name, edits } of read.file.devices) {
        const full = joinName(read.file.kind, name);
        const before = (devices.get(full) ?? []).filter((other) => other.folder === folder);
        devices.set(full, [...before, { path, folder, file: read.file, edits }]);
      }
    }
  }

  /** Undefined where the file has just gone. */
  async #read(path: string): Promise<Read | undefined> {
    // A pipe of that name must not hang the container's creation.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      return asRuntimeError(error);
    });
    if (file === undefined) return undefined;
    if (file instanceof RuntimeError) return { fault: file.message };
    try {
      const { ino, size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
      const stamp = [ino, size, mtimeNs, ctimeNs].join(" ");
      const known = this.#kept.get(path);
      if (known?.stamp === stamp) return known.read;
      const read = await parse(file, path);
      if (this.#kept.size >= maxSpecFiles) this.#kept.clear();
      this.#kept.set(path, { stamp, read });
      return read;
    } finally {
      await file.close();
    }
  }
}

function formatOf(name: string): "json" | "yaml" | undefined {
  const ending = extname(name);
  return ending === ".json" ? "json" : ending === ".yaml" ? "yaml" : undefined;
}

function emptyWhereMissing(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
  throw error;
}

async function parse(file: FileHandle, path: string): Promise<Read> {
  try {
    const status = await file.stat();
    const { size, uid, mode } = status;
    if (!status.isFile()) return { fault: "not a file" };
    // It names programs that are run as root on the node.
    if (uid !== process.geteuid?.() || (mode & 0o002) !== 0) {
      return { fault: "others than the daemon's user may write it" };
    }
    if (size > maxSpecBytes) return { fault: `larger than ${maxSpecBytes} bytes` };
    return { file: parseSpecFile(await file.readFile("utf8"), formatOf(path) ?? "json") };
  } catch (thrown) {
    return { fault: asRuntimeError(thrown).message };
  }
}

function choose(
  name: DeviceName,
  found: readonly Found[],
  faults: readonly string[],
  folders: readonly string[],
): Found {
  const [device, other] = found;
  if (device !== undefined && other === undefined) return device;
  if (device !== undefined && other !== undefined) {
    const text = `CDI device ${name}: both ${device.path} and ${other.path} describe it`;
    throw new RuntimeError("invalid-argument", text);
  }
  const where = folders.length === 0 ? "no folder of specs is configured" : `not in ${folders.join(", ")}`;
  const unread = faults.slice(0, maxNamedFaults).map((fault) => `; ${fault}`);
  throw new RuntimeError("invalid-argument", `CDI device ${name}: ${where}${unread.join("")}`);
}
