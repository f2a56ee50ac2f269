import { E, type Failure } from "../ffi/error.ts";
import { failure } from "../failure.ts";
import { readValue, tryWrite, tryWriteAll } from "./folder.ts";
import type { Setting } from "./setting.ts";

/**
 * Writes settings in order. Some pairs hold each other (a memory limit and the one with swap, a period and its quota)
 * and which of them goes first depends on their old values: what was refused is tried once more after the rest.
 * Throws the first that fails again; lenient ones add a warning.
 */
export function applySettings(folder: string, settings: readonly Setting[], warnings: string[]): void {
  const refused: Setting[] = [];
  const problems = tryWriteAll(folder, settings);
  for (const setting of settings) {
    const problem = problems.get(setting);
    if (problem === undefined) continue;
    if (problem.errno === E.NOENT && setting.lenient === true) {
      warnings.push(`linux.resources.${setting.field}: this kernel has no ${setting.file}`);
    } else {
      refused.push(setting);
    }
  }
  for (const setting of refused) {
    const problem = tryWrite(folder, setting.file, setting.value);
    if (problem !== undefined) throw settingFailure(setting, problem);
  }
}

/** What one-line files hold now, as settings that put it back. */
export function currentSettings(folder: string, settings: readonly Setting[]): Setting[] {
  const before: Setting[] = [];
  for (const { file, field } of settings) {
    const value = readValue(folder, file);
    if (value !== undefined && value !== "" && !value.includes("\n")) before.push({ file, value, field });
  }
  return before;
}

function settingFailure(setting: Setting, problem: Failure): Failure {
  const message = `linux.resources.${setting.field} = ${setting.value}: ${problem.message}`;
  return { ...failure(codeOf(problem), message), ...causeOf(problem) };
}

function causeOf(problem: Failure): Pick<Failure, "syscall" | "errno"> {
  return { syscall: problem.syscall, errno: problem.errno };
}

function codeOf({ errno, code }: Failure): Failure["code"] {
  if (errno === E.INVAL || errno === E.RANGE) return "invalid-argument";
  if (errno === E.BUSY || errno === E.NOENT || errno === E.NODEV) return "failed-precondition";
  return code;
}
