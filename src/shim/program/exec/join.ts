import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import type { CgroupEntry } from "../cgroup/index.ts";
import { closeEntry, enterV1, enterV2 } from "../cgroup/index.ts";
import { CLONE, O } from "../ffi/constants.ts";
import { closeAllBut, openOnes, preservedDescriptors } from "../ffi/descriptors.ts";
import { E, asFailure, errno, sysError } from "../ffi/error.ts";
import { close, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { exit, setName, setns } from "../ffi/processes.ts";
import { sendWithFds } from "../ffi/sockets.ts";
import type { Habits } from "../init/init.ts";
import { controlTerminal, openTerminal, ownTerminal } from "../init/terminal.ts";
import { encode } from "../json.ts";
import type { SeccompFilter } from "../process/index.ts";
import { executeProcess, openProcfs, prepareProcess, setAffinity } from "../process/index.ts";
import type { ExecTarget } from "./target.ts";

const joinFailed = 127;

/** Namespaces that take effect for children only: the supervisor enters them before it clones. */
export const namespacesBefore = CLONE.NEWPID | CLONE.NEWTIME;

/** Everything that the added process needs, opened before the clone. */
export interface JoinPlan {
  readonly process: SpecProcess;
  readonly filter?: SeccompFilter;
  readonly target: ExecTarget;
  readonly entry: CgroupEntry;
  readonly enterV2Late: boolean;
  /** To the supervisor: a terminal's master, or a failure; closed by execve. */
  readonly status: number;
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
  readonly habits: Pick<Habits, "preservedFds" | "keyring" | "home">;
}

/** The added process, from the clone to its execve. */
export function runJoin(plan: JoinPlan): never {
  const [, thrown] = pcall(() => {
    setName("berth-exec");
    closeAllBut(keptDescriptors(plan));
    const { initial } = plan.process.execCPUAffinity ?? {};
    if (initial !== undefined && initial !== "") setAffinity(initial);
    enterV1(plan.entry);
    if (plan.enterV2Late) enterV2(plan.entry);
    closeEntry(plan.entry);
    if (C.setsid() < 0) throw sysError("setsid");
    const procfs = openProcfs();
    enterNamespaces(plan.target);
    const stdio = stdioOf(plan);
    const prepared = prepareProcess(plan.process, {
      procfs,
      warn: () => undefined,
      workingFolder: "require",
      keyring: plan.habits.keyring,
      home: plan.habits.home,
      personality: plan.target.init.personality,
    });
    stdio.forEach((fd, place) => {
      if (C.dup3(fd, place, 0) < 0) throw sysError("dup3", place);
    });
    executeProcess(prepared, plan.filter, plan.habits.preservedFds);
  });
  sendWithFds(plan.status, encode({ error: asFailure(thrown) }), []);
  exit(joinFailed);
}

function keptDescriptors({ target, entry, status, stdin, stdout, stderr, habits }: JoinPlan): number[] {
  const open = openOnes(entry.into, stdin, stdout, stderr);
  return [target.pidfd, status, ...entry.tasks, ...open, ...preservedDescriptors(habits.preservedFds)];
}

/**
 * All at once through init's pidfd (setns(2), Linux 5.8): there is no moment in some of them only. But for a container
 * with a user namespace that does not own the others (a network that was made outside): those have to come first.
 */
function enterNamespaces({ init, pidfd }: ExecTarget): void {
  const inside = init.namespaces & ~namespacesBefore;
  const others = inside & ~CLONE.NEWUSER;
  if (inside !== 0 && C.setns(pidfd, inside) < 0) {
    if (errno() !== E.PERM || others === inside) throw sysError("setns", "the container's namespaces");
    setns(pidfd, others, "the container's namespaces");
    setns(pidfd, CLONE.NEWUSER, "the container's user namespace");
  }
  close(pidfd);
  if ((inside & CLONE.NEWUSER) === 0) return;
  if (C.setresgid(0, 0, 0) < 0) throw sysError("setresgid", 0);
  if (C.setresuid(0, 0, 0) < 0) throw sysError("setresuid", 0);
}

function stdioOf(plan: JoinPlan): [number, number, number] {
  if (plan.process.terminal !== true) {
    const { stdin = open("/dev/null", O.RDONLY | O.NOFOLLOW), stdout = -1, stderr = -1 } = plan;
    return [stdin, stdout, stderr];
  }
  const root = open("/", O.PATH | O.DIRECTORY);
  const terminal = openTerminal(root, plan.process.consoleSize);
  const { master, slave } = terminal;
  ownTerminal(terminal, plan.process.user.uid);
  close(root);
  controlTerminal(slave);
  sendWithFds(plan.status, encode({ terminal: true }), [master]);
  close(master);
  return [slave, slave, slave];
}
