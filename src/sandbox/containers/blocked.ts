import { readFile } from "node:fs/promises";

/** Says where in the kernel a process hangs, for a person: its state, wait channel and name (proc(5)). */
export async function blockedWhere(pid: number): Promise<string> {
  const [status, wchan] = await Promise.all([
    readFile(`/proc/${pid}/status`, "utf8").catch(() => ""),
    readFile(`/proc/${pid}/wchan`, "utf8").catch(() => ""),
  ]);
  if (status === "") return "is gone, but its shim has not said so";
  const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? "?";
  const state = /^State:\t(.*)$/m.exec(status)?.[1] ?? "?";
  return `(${name}) is in state ${state}, waiting in ${wchan === "" || wchan === "0" ? "user space" : wchan}`;
}
