/**
 * What a process takes on before its execve, for init and exec alike: `prepareProcess` with all privileges, then
 * `executeProcess`, which gives them up.
 */
export { prepareProcess } from "./prepare.ts";
export type { PrepareOptions, PreparedProcess } from "./prepare.ts";
export { findCommand } from "./command.ts";
export { executeProcess } from "./execute.ts";
export { readSeccompFilter } from "./seccomp.ts";
export type { SeccompFilter } from "./seccomp.ts";
export { checkSecurityModules, requireSelinux } from "./security-modules.ts";
export { openProcFile, openProcfs, tryWriteProc, writeProc } from "./procfs.ts";
export { setOomScoreAdj } from "./oom-score.ts";
export { raiseHardLimits } from "./rlimits.ts";
export { setAffinity } from "./scheduling.ts";
