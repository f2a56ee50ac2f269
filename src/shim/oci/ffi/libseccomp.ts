import * as ffi from "ffi";
import type { SeccompArg } from "../../../core/oci-runtime-spec.ts";
import { comparisons } from "../../../core/seccomp-plan.ts";
import { failure } from "../../program/failure.ts";
import { sysError } from "../../program/ffi/error.ts";
import type { Pointer } from "../../program/ffi/memory.ts";
import { typeNamed } from "../../program/ffi/structs.ts";

ffi.cdef(`
typedef struct { unsigned argument; int compare; uint64_t value, second; } scmp_condition;
void *seccomp_init(uint32_t action);
void seccomp_release(void *context);
int seccomp_arch_add(void *context, uint32_t token);
uint32_t seccomp_arch_native(void);
int seccomp_attr_set(void *context, int attribute, uint32_t value);
int seccomp_syscall_resolve_name(const char *name);
int seccomp_syscall_resolve_name_arch(uint32_t token, const char *name);
int seccomp_rule_add_array(void *context, uint32_t action, int call, unsigned count, const scmp_condition *conditions);
int seccomp_export_bpf(void *context, int fd);
`);

/** libseccomp, in the names and the order of seccomp.h; results below 0 are errors (seccomp(3)). @noSelf */
export interface Libseccomp {
  seccomp_init(action: number): Pointer | undefined;
  seccomp_release(context: Pointer): void;
  seccomp_arch_add(context: Pointer, token: number): number;
  seccomp_arch_native(): number;
  seccomp_attr_set(context: Pointer, attribute: number, value: number): number;
  seccomp_syscall_resolve_name(name: string): number;
  seccomp_syscall_resolve_name_arch(token: number, name: string): number;
  seccomp_rule_add_array(
    context: Pointer,
    action: number,
    call: number,
    count: number,
    conditions: Pointer | undefined,
  ): number;
  seccomp_export_bpf(context: Pointer, fd: number): number;
}

interface Condition {
  argument: number;
  compare: number;
  value: number;
  second: number;
}

/** Doubles are exact below this. */
const exactMax = 2 ** 53;

/** Loads the library; `failed-precondition` where it is not installed. */
export function loadLibseccomp(): Libseccomp {
  const [ok, library] = pcall(ffi.load, "libseccomp.so.2");
  if (ok) return library as Libseccomp;
  throw failure(
    "failed-precondition",
    "linux.seccomp: libseccomp.so.2 is missing (Debian package libseccomp2)",
  );
}

/** An array of `struct scmp_arg_cmp`; undefined for none. */
export function conditionArray(conditions: readonly SeccompArg[]): Pointer | undefined {
  if (conditions.length === 0) return undefined;
  const array = ffi.new<Pointer & Record<number, Condition>>(
    typeNamed("scmp_condition[?]"),
    conditions.length,
  );
  conditions.forEach(({ index, op, value, valueTwo = 0 }, at) => {
    // Through JSON a value beyond 2^53 has lost its last bits: a rule for another value than was meant.
    if (value > exactMax || valueTwo > exactMax) {
      throw failure("invalid-argument", `linux.seccomp: a value above 2^53 can't be compared with`);
    }
    const condition = array[at] as Condition;
    condition.argument = index;
    condition.compare = comparisons[op];
    condition.value = value;
    condition.second = valueTwo;
  });
  return array;
}

/** Throws for a result below 0: a negative errno. */
export function checkCall(call: string, result: number): void {
  if (result < 0) throw sysError(call, undefined, -result);
}
