import type { SpecSeccomp } from "../../../core/oci-runtime-spec.ts";
import type { Instruction } from "../../../core/seccomp-prefix.ts";
import { instructionBytes, maxInstructions } from "../../../core/seccomp-prefix.ts";
import type { SeccompPlan } from "../../../core/seccomp-plan.ts";
import { planSeccomp } from "../../../core/seccomp-plan.ts";
import { failure } from "../../program/failure.ts";
import { AT } from "../../program/ffi/constants.ts";
import { E, sysError } from "../../program/ffi/error.ts";
import { close, memoryFile, readFile } from "../../program/ffi/files.ts";
import type { Pointer } from "../../program/ffi/memory.ts";
import type { Libseccomp } from "../ffi/libseccomp.ts";
import { checkCall, conditionArray, loadLibseccomp } from "../ffi/libseccomp.ts";

/** enum scmp_filter_attr of seccomp.h. */
const attributeForeignAbi = 2;
const attributeOptimize = 8;
const binaryTree = 2;
const byteRange = 256;

/** A filter as an array of `struct sock_filter`, and names of the profile that nobody knows. */
export interface CompiledFilter {
  readonly code: string;
  readonly unknownNames: readonly string[];
}

/** Compiles a profile with libseccomp, by the same plan as the daemon does (core/seccomp-plan.ts). */
export function compileFilter(profile: SpecSeccomp): CompiledFilter {
  const library = loadLibseccomp();
  const plan = planned(profile, library);
  const context = library.seccomp_init(plan.defaultAction);
  if (context === undefined) throw sysError("seccomp_init", undefined, E.NOMEM);
  const [ok, result] = pcall(() => {
    addRules(plan, library, context);
    return prefixCode(plan.prefix) + exported(library, context);
  });
  library.seccomp_release(context);
  if (!ok) throw result as unknown;
  if (result.length > maxInstructions * instructionBytes) {
    throw failure(
      "invalid-argument",
      `linux.seccomp: the filter has more than ${maxInstructions} instructions`,
    );
  }
  return { code: result, unknownNames: plan.unknownNames };
}

/** What the plan throws is an object of JavaScript's kind, here it is a plain table. */
function planned(profile: SpecSeccomp, library: Libseccomp): SeccompPlan {
  try {
    return planSeccomp(profile, {
      nativeAbi: () => library.seccomp_arch_native(),
      resolve: (name) => library.seccomp_syscall_resolve_name(name),
      resolveOn: (token, name) => library.seccomp_syscall_resolve_name_arch(token, name),
    });
  } catch (thrown) {
    const { message } = thrown as { readonly message?: string };
    throw failure("invalid-argument", `linux.${message ?? tostring(thrown)}`);
  }
}

function addRules(plan: SeccompPlan, library: Libseccomp, context: Pointer): void {
  for (const [attribute, value] of [
    [attributeForeignAbi, plan.foreignAbiAction],
    [attributeOptimize, binaryTree],
  ] as const) {
    checkCall("seccomp_attr_set", library.seccomp_attr_set(context, attribute, value));
  }
  for (const token of plan.architectures) {
    const result = library.seccomp_arch_add(context, token);
    if (result !== -E.EXIST) checkCall("seccomp_arch_add", result);
  }
  for (const { name, number, action, conditions } of plan.rules) {
    const array = conditionArray(conditions);
    const result = library.seccomp_rule_add_array(context, action, number, conditions.length, array);
    if (result !== -E.EXIST) checkCall(`seccomp_rule_add ${name}`, result);
  }
}

function exported(library: Libseccomp, context: Pointer): string {
  const fd = memoryFile("berth-seccomp", "");
  checkCall("seccomp_export_bpf", library.seccomp_export_bpf(context, fd));
  const code = readFile(`/proc/self/fd/${fd}`, maxInstructions * instructionBytes, AT.FDCWD);
  close(fd);
  return code;
}

/** Little-endian, as all machines of this project are. */
function prefixCode(instructions: readonly Instruction[]): string {
  const parts = instructions.map(
    ({ code, jt, jf, k }) => string.char(...bytesOf(code, 2)) + string.char(jt, jf, ...bytesOf(k, 4)),
  );
  return table.concat(parts);
}

function bytesOf(value: number, count: number): number[] {
  const bytes: number[] = [];
  let rest = value < 0 ? value + 2 ** 32 : value;
  for (let index = 0; index < count; index++) {
    bytes.push(rest % byteRange);
    rest = Math.floor(rest / byteRange);
  }
  return bytes;
}
