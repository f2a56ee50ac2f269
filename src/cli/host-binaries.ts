import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { RuntimeError } from "../core/errors.ts";

/** Where commands are looked for that PATH does not find: root's own folders are often missing from it. */
const fallbackFolders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** What a small image has where there is no static busybox, as far as the host has it. */
const smallCommands = [
  "sh",
  "cat",
  "date",
  "echo",
  "env",
  "hostname",
  "id",
  "ip",
  "kill",
  "ls",
  "ps",
  "sleep",
];

/** Absolute paths of programs that are named by path or by name; throws `not-found`. */
export async function hostBinaries(words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const word of words) {
    const path = word.includes("/") ? resolve(word) : await findCommand(word);
    if (path === undefined) throw new RuntimeError("not-found", `no command ${JSON.stringify(word)} in PATH`);
    found.push(path);
  }
  return found;
}

/** A static busybox, or a shell with the commands beside it; throws `not-found` where there is no shell. */
export async function usualBinaries(): Promise<string[]> {
  const busybox = await findCommand("busybox");
  if (busybox !== undefined && (await isStatic(busybox))) return [busybox];
  const shell = await hostBinaries(["sh"]);
  const others = await Promise.all(smallCommands.slice(1).map(findCommand));
  return [...shell, ...others.filter((path) => path !== undefined)];
}

async function findCommand(name: string): Promise<string | undefined> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder.startsWith("/"));
  for (const folder of [...folders, ...fallbackFolders]) {
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

const programHeaderInterpreter = 3;

/** Whether an ELF file of 64 bits names no interpreter (elf(5)): then it needs no libraries. */
async function isStatic(path: string): Promise<boolean> {
  const file = await readFile(path);
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) return false;
  const offset = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  const count = file.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const header = offset + index * size;
    if (header + 4 > file.length || file.readUInt32LE(header) === programHeaderInterpreter) return false;
  }
  return true;
}
