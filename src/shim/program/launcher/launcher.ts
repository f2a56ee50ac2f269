import { launcherSocketName } from "../../protocol/launch.ts";
import { discoverHierarchies } from "../cgroup/index.ts";
import { AT, EPOLL, PR, SIG } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { C, resolveAll } from "../ffi/libc.ts";
import { fork, prctl, reapAny, setName } from "../ffi/processes.ts";
import { blockSignals, readSignal, resetSignals, signalFd } from "../ffi/signals.ts";
import { accept, listenUnix } from "../ffi/sockets.ts";
import { Loop } from "../wire/loop.ts";
import { readIdentity } from "../wire/greeting.ts";
import type { Context } from "./context.ts";
import { enterLeafV1, enterLeafV2, leaveHome, makeLeaf, sweepLeaves } from "./own-cgroup.ts";
import { serveClient } from "./serve.ts";

/** Connections that the kernel keeps waiting while the launcher forks; it has a limit of its own, net.core.somaxconn. */
const backlog = 4096;
const ownLeaf = "launcher";
const launcherOomScore = -999;
/** How often leaves of shims that are gone are removed, at most. */
const sweepMs = 5_000;

/**
 * Listens, forks for every connection, and does nothing else: the child serves it, so that no client can hang or
 * crash the launcher, and what it does for one client is nobody else's memory. Returns when a client asked for it.
 */
export function runLauncher(folder: string, build: string): void {
  const context = prepare(build);
  const listener = listen(`${folder}/${launcherSocketName}`);
  const loop = new Loop();
  const signals = signalFd([SIG.CHLD, SIG.TERM]);
  let sweeping = false;
  loop.add(listener, EPOLL.IN, () => {
    const client = accept(listener);
    if (client === undefined) return;
    if (fork() === 0) serveClient(client, context);
    C.close(client);
  });
  loop.add(signals, EPOLL.IN, () => {
    if (readSignal(signals) === SIG.TERM) loop.stop();
    for (let [child] = reapAny(); child !== 0; [child] = reapAny()) {
      // The children of the accept loop: nobody asks how they ended.
    }
    if (sweeping) return;
    sweeping = true;
    loop.after(sweepMs, () => {
      sweeping = false;
      sweepLeaves(context.hierarchies);
    });
  });
  loop.run();
  // The path may be another launcher's by now: it stays, refuses, and is renamed over by the next.
  C.close(listener);
  leaveHome(context.hierarchies);
}

/** Everything that is done once, so that no child has to: nothing is opened or loaded after the first fork. */
function prepare(build: string): Context {
  resolveAll();
  // Standard input and output, and what the interpreter was started from.
  closeAllBut([]);
  resetSignals();
  blockSignals([SIG.CHLD, SIG.TERM, SIG.PIPE, SIG.HUP, SIG.INT]);
  prctl(PR.SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
  setName("berth-launcher");
  C.umask(0o022);
  C.setsid();
  const hierarchies = discoverHierarchies();
  const leaf = makeLeaf(hierarchies, ownLeaf);
  if (leaf !== undefined) C.close(leaf);
  enterLeafV1(hierarchies, ownLeaf);
  enterLeafV2(hierarchies, ownLeaf);
  sweepLeaves(hierarchies);
  lowerOomScore();
  return { identity: readIdentity(build), hierarchies, launcherPid: C.getpid() };
}

/** Bound under another name and renamed over: a launcher that no longer serves is replaced without a gap. */
function listen(path: string): number {
  const fresh = `${path}.${C.getpid()}`;
  const fd = listenUnix(fresh, backlog);
  if (C.renameat(AT.FDCWD, fresh, AT.FDCWD, path) < 0) throw sysError("rename", path);
  return fd;
}

/** A shim that the kernel kills for want of memory takes a container's record with it; not every host lets us. */
function lowerOomScore(): void {
  const fd = C.open("/proc/self/oom_score_adj", 1, 0);
  if (fd < 0) return;
  const text = `${launcherOomScore}`;
  C.write(fd, text, text.length);
  C.close(fd);
}
