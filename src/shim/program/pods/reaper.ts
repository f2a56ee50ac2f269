import { CLONE, MNT_DETACH, MS, O, PR, SIG, WALL, WNOHANG } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { mount, pivotRoot } from "../ffi/mounts.ts";
import { exit, prctl, setName, unshare } from "../ffi/processes.ts";
import { blockAllSignals, resetSignals, signalSet } from "../ffi/signals.ts";
import { receiveWithFds, sendWithFds } from "../ffi/sockets.ts";
import type { Siginfo } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";
import { commonNr } from "../ffi/arch.ts";
import { applyCapabilities, dropBounding, planCapabilities } from "../process/capabilities.ts";
import { becomeUser } from "../process/user.ts";
import { goMark, maxMarkBytes, prepareMark, readyMark, reportFailure } from "./channel.ts";

/** What pause containers run as. */
const reaperId = 65535;
const channelFd = 3;
const lastFd = 0xffffffff;

/**
 * PID 1 of a pod's shared PID namespace: collects what other processes leave and does nothing else. Containers of the
 * pod see it, so it has nothing to be taken: no capability, no folder (its root is an empty tmpfs), no descriptor, no
 * memory to be read (it is not dumpable). The kernel keeps signals from inside away from a PID 1 without handlers;
 * SIGKILL from outside ends it and all of the namespace with it.
 */
export function runReaper(channel: number): never {
  const [ok, thrown] = pcall(() => {
    awaitMark(channel, prepareMark);
    isolate();
    keepOnly(channel);
  });
  if (!ok) {
    reportFailure(channel, thrown);
    exit(1);
  }
  sendWithFds(channelFd, readyMark, []);
  // Without the last word (the launcher's child failed or died) there is no pod.
  awaitMark(channelFd, goMark);
  C.close(channelFd);
  return collect();
}

function awaitMark(channel: number, mark: string): void {
  if (receiveWithFds(channel, maxMarkBytes)?.text !== mark) exit(0);
}

function isolate(): void {
  C.setsid();
  setName("berth-reaper");
  blockAllSignals();
  resetSignals();
  const none = open("/dev/null", O.RDWR);
  for (let fd = 0; fd < channelFd; fd++) C.dup3(none, fd, 0);
  emptyRoot();
  const plan = planCapabilities(undefined, () => undefined);
  dropBounding(plan);
  // A user namespace may not map the id; without capabilities the root of one has no rights either.
  pcall(becomeUser, { uid: reaperId, gid: reaperId });
  applyCapabilities(plan);
  prctl(PR.SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS");
  prctl(PR.SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
}

/** A mount namespace with an empty read-only root. */
function emptyRoot(): void {
  const anyFolder = "/proc";
  unshare(CLONE.NEWNS);
  mount("none", "/", undefined, MS.REC + MS.PRIVATE);
  mount("none", anyFolder, "tmpfs", MS.RDONLY + MS.NOSUID + MS.NODEV + MS.NOEXEC, "size=4k,mode=555");
  if (C.chdir(anyFolder) < 0) throw sysError("chdir", anyFolder);
  pivotRoot(".", ".");
  if (C.umount2(".", MNT_DETACH) < 0) throw sysError("umount", "old root of the reaper");
  if (C.chdir("/") < 0) throw sysError("chdir", "/");
}

/** Closes all but standard streams and the channel, which moves to `channelFd`. */
function keepOnly(channel: number): void {
  if (channel !== channelFd && C.dup3(channel, channelFd, O.CLOEXEC) < 0) throw sysError("dup3", channel);
  C.sys_close_range(commonNr.closeRange, channelFd + 1, lastFd, 0);
}

/** Nothing is allocated here, so memory stays as it is. */
function collect(): never {
  const childEnded = signalSet([SIG.CHLD]);
  const info = struct<Siginfo>("siginfo_buf");
  const options = WNOHANG + WALL;
  for (;;) {
    C.sigwaitinfo(childEnded, info);
    while (C.waitpid(-1, undefined, options) > 0);
  }
}
