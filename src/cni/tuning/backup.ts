import { mkdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../../sys/index.ts";
import { booleanField, countField, parseJsonObject, stringField } from "../json.ts";
import { isMac, IFF_ALLMULTI, IFF_PROMISC, type Link } from "../netlink/link.ts";
import type { LinkTuning } from "./conf.ts";

/** What a link had before it was tuned: the fields of the reference plugin's file. */
export interface LinkBackup {
  readonly mac?: string;
  readonly mtu?: number;
  readonly promisc?: boolean;
  readonly allmulti?: boolean;
  readonly txQLen?: number;
}

/** What of a link will change, as it is now. */
export function backupOf(link: Link, tuning: LinkTuning): LinkBackup {
  return {
    ...(tuning.mac === undefined ? {} : { mac: link.mac }),
    ...(tuning.promisc === undefined ? {} : { promisc: (link.flags & IFF_PROMISC) !== 0 }),
    ...(tuning.mtu === undefined ? {} : { mtu: link.mtu }),
    ...(tuning.allmulti === undefined ? {} : { allmulti: (link.flags & IFF_ALLMULTI) !== 0 }),
    ...(tuning.txQLen === undefined ? {} : { txQLen: link.queueLength }),
  };
}

/** Writes the file; it is whole or not there. */
export async function writeBackup(path: string, backup: LinkBackup): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, JSON.stringify(backup), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Reads the file; undefined where there is none, or it holds something else. */
export async function readBackup(path: string): Promise<LinkBackup | undefined> {
  try {
    const object = parseJsonObject(await readFile(path, "utf8"), path);
    const mac = stringField(object, "mac", path);
    const mtu = countField(object, "mtu", path) ?? 0;
    const txQLen = countField(object, "txQLen", path);
    return {
      ...(isMac(mac) ? { mac } : {}),
      ...(mtu === 0 ? {} : { mtu }),
      ...("promisc" in object ? { promisc: booleanField(object, "promisc", path) } : {}),
      ...("allmulti" in object ? { allmulti: booleanField(object, "allmulti", path) } : {}),
      ...(txQLen === undefined ? {} : { txQLen }),
    };
  } catch {
    return undefined;
  }
}

/** Removes the file; one that is gone is fine. */
export async function removeBackup(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
