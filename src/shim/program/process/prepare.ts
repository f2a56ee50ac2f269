import type { SpecLinux, SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { PR } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { prctl } from "../ffi/processes.ts";
import { type ExecStrings, execStrings, uniqueEnvironment } from "./arguments.ts";
import { type CapabilityPlan, planCapabilities } from "./capabilities.ts";
import { homeOf } from "./home.ts";
import { newSessionKeyring } from "./keyring.ts";
import { setOomScoreAdj } from "./oom-score.ts";
import { setPersonality } from "./personality.ts";
import { raiseHardLimits } from "./rlimits.ts";
import { setAffinity, setIoPriority, setScheduler } from "./scheduling.ts";
import { setSecurityLabels } from "./security-modules.ts";
import { enterWorkingFolder, makeWorkingFolder, verifyWorkingFolder } from "./working-folder.ts";

/** What {@link prepareProcess} needs besides the process. */
export interface PrepareOptions {
  /** From `openProcfs`, opened before the process entered the container. */
  readonly procfs: number;
  /** Told of what was asked for and can't be had. */
  warn(this: void, text: string): void;
  /** A missing working folder is made for a container, not for an exec. */
  readonly workingFolder: "make" | "require";
  readonly keyring: "new" | "inherited";
  /** Whether HOME is looked up in the container's /etc/passwd where the environment has none. */
  readonly home: "absent" | "passwd";
  readonly personality?: SpecLinux["personality"];
}

/** A process that is one call away from its execve. */
export interface PreparedProcess {
  readonly process: SpecProcess;
  readonly argv: ExecStrings;
  readonly envp: ExecStrings;
  readonly capabilities: CapabilityPlan;
  /** Root could not enter the working folder; the user is to try. */
  readonly enterAsUser: boolean;
}

/**
 * Applies what needs privilege or leaves a warning, inside of all namespaces, the cgroup and the root: oom score, hard
 * limits, scheduling, keyring, labels, working folder. Leaves the process not dumpable, so that nothing in the
 * container can look into it until execve.
 */
export function prepareProcess(process: SpecProcess, options: PrepareOptions): PreparedProcess {
  const { procfs, warn } = options;
  const { scheduler, ioPriority, execCPUAffinity, cwd } = process;
  const argv = execStrings(process.args, "process.args");
  const envp = execStrings(environmentOf(process, options.home), "process.env");
  // Before the process is not dumpable, which makes root of the host the owner of /proc/self.
  if (process.oomScoreAdj !== undefined) setOomScoreAdj(procfs, "self", process.oomScoreAdj, warn);
  if (options.keyring !== "inherited") newSessionKeyring(procfs, process.selinuxLabel ?? "");
  setSecurityLabels(procfs, process);
  prctl(PR.SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
  raiseHardLimits(0, process.rlimits, warn);
  if (scheduler !== undefined) setScheduler(scheduler);
  if (ioPriority !== undefined) setIoPriority(ioPriority);
  if (execCPUAffinity?.final !== undefined) setAffinity(execCPUAffinity.final);
  if (options.personality !== undefined) setPersonality(options.personality);
  const capabilities = planCapabilities(process.capabilities, warn);
  const enterAsUser = !enterFolder(cwd, options.workingFolder);
  return { process, argv, envp, capabilities, enterAsUser };
}

function environmentOf(process: SpecProcess, home: PrepareOptions["home"]): string[] {
  const environment = uniqueEnvironment(process.env ?? []);
  if (home === "passwd" && !environment.some((entry) => entry.startsWith("HOME=") && entry !== "HOME=")) {
    return uniqueEnvironment([...environment, `HOME=${homeOf(process.user.uid)}`]);
  }
  return environment;
}

function enterFolder(cwd: string, missing: PrepareOptions["workingFolder"]): boolean {
  if (string.sub(cwd, 1, 1) !== "/") throw failure("invalid-argument", `process.cwd ${cwd}: is not absolute`);
  if (missing === "make") makeWorkingFolder(cwd);
  if (!enterWorkingFolder(cwd, "root")) return false;
  verifyWorkingFolder(cwd);
  return true;
}
