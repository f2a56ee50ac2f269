import { O } from "../../program/ffi/constants.ts";
import { E, asFailure, errno, failure, sysError } from "../../program/ffi/error.ts";
import { close, open, readAllFd, setBlocking, unlink } from "../../program/ffi/files.ts";
import { C } from "../../program/ffi/libc.ts";
import { runHooks } from "../../program/hooks/run-hooks.ts";
import { decode } from "../../program/json.ts";
import type { Settings } from "../settings.ts";
import type { ContainerRecord } from "./record.ts";
import { folderOfContainer } from "./record.ts";

const maxStatusBytes = 16 * 1024;

/** Lets init go on, and returns when its execve has succeeded; throws what kept it from that. */
export function startContainer(settings: Settings, record: ContainerRecord): void {
  const folder = folderOfContainer(settings.root, record.id);
  const status = open(folder.status, O.RDONLY | O.NONBLOCK);
  const start = C.open(folder.start, O.WRONLY | O.NONBLOCK | O.CLOEXEC, 0);
  if (start < 0) {
    const number = errno();
    close(status);
    // ENXIO: nobody has the other end.
    if (number === E.NXIO) throw failure("failed-precondition", `container ${record.id} is not running`);
    throw sysError("open", folder.start, number);
  }
  unlink(folder.start);
  C.write(start, "s", 1);
  close(start);
  // The end is what execve brings.
  setBlocking(status);
  const text = readAllFd(status, maxStatusBytes, folder.status);
  close(status);
  unlink(folder.status);
  if (text !== "") throw asFailure(decode(text, maxStatusBytes));
  runPoststart(settings, record);
}

/** A hook that fails is a warning: the container runs (runtime spec, runtime.md#lifecycle). */
function runPoststart(settings: Settings, record: ContainerRecord): void {
  const { init } = record;
  for (const hook of init.poststart ?? []) {
    const [ok, thrown] = pcall(runHooks, [hook], hookState(record, "running"), "poststart");
    if (!ok) settings.log.warn(asFailure(thrown).message);
  }
}

/** The state that hooks get on their standard input. */
export function hookState(
  record: ContainerRecord,
  status: "running" | "stopped",
): Parameters<typeof runHooks>[1] {
  const { id, bundle, annotations, init } = record;
  return {
    ociVersion: init.ociVersion,
    id,
    status,
    pid: status === "running" ? init.pid : 0,
    bundle,
    annotations,
  };
}
