import { RuntimeError } from "../../core/errors.ts";
import type { SeccompAction, SeccompArg } from "../../core/oci-runtime-spec.ts";
import type { KernelRelease, MachineArch, ProfileRule, RuleCondition, SeccompProfile } from "./profile.ts";

/** Profiles larger than this are refused; Docker's default has 14 KiB. */
export const maxSeccompProfileBytes = 1024 * 1024;

const actions: readonly SeccompAction[] = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
];
const operators: readonly SeccompArg["op"][] = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
];
const flags: readonly string[] = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
];
const machines: Readonly<Record<string, MachineArch>> = { amd64: "x64", arm64: "arm64" };
const natives: Readonly<Record<MachineArch, string>> = {
  x64: "SCMP_ARCH_X86_64",
  arm64: "SCMP_ARCH_AARCH64",
};

/** Errno values of Linux end here. */
const maxErrno = 4095;

/**
 * Reads a profile in the OCI runtime spec's JSON or in Docker's, which adds archMap, includes and excludes. What is wrong is
 * `invalid-argument` naming the file and the place in it.
 */
export function parseSeccompProfile(text: string, file: string): SeccompProfile {
  if (Buffer.byteLength(text) > maxSeccompProfileBytes) {
    throw new RuntimeError("invalid-argument", `${file}: larger than ${maxSeccompProfileBytes} bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RuntimeError("invalid-argument", `${file}: not JSON: ${(error as Error).message}`);
  }
  const root = new Reader(file, "", value);
  for (const key of ["listenerPath", "listenerMetadata"]) {
    if (root.has(key)) throw root.at(key).fault("a listener is not supported");
  }
  const errnoRet = readErrno(root, "defaultErrnoRet");
  return {
    defaultAction: root.at("defaultAction").oneOf(actions),
    ...(errnoRet === undefined ? {} : { defaultErrnoRet: errnoRet }),
    architectures: readArchitectures(root),
    flags: root.list("flags").map((flag) => flag.oneOf(flags)),
    rules: root.list("syscalls").map(readRule),
  };
}

/** One value of the document, with its place for messages. */
class Reader {
  readonly file: string;
  readonly place: string;
  readonly value: unknown;

  constructor(file: string, place: string, value: unknown) {
    this.file = file;
    this.place = place;
    this.value = value;
  }

  fault(reason: string): RuntimeError {
    return new RuntimeError(
      "invalid-argument",
      `${this.file}: ${this.place === "" ? "" : `${this.place}: `}${reason}`,
    );
  }

  at(key: string): Reader {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.fault("expected an object");
    }
    const inner = (value as Record<string, unknown>)[key];
    return new Reader(this.file, this.place === "" ? key : `${this.place}.${key}`, inner ?? undefined);
  }

  has(key: string): boolean {
    const { value } = this.at(key);
    return value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0);
  }

  list(key: string): readonly Reader[] {
    const inner = this.at(key);
    if (inner.value === undefined) return [];
    if (!Array.isArray(inner.value)) throw inner.fault("expected a list");
    return inner.value.map(
      (item: unknown, index) => new Reader(this.file, `${inner.place}[${index}]`, item ?? undefined),
    );
  }

  text(): string {
    if (typeof this.value === "string" && this.value !== "") return this.value;
    throw this.fault("expected a text");
  }

  oneOf<T extends string>(known: readonly T[]): T {
    const text = this.text();
    const found = known.find((candidate) => candidate === text);
    if (found !== undefined) return found;
    throw this.fault(`${JSON.stringify(text.slice(0, 100))} is not one of ${known.join(", ")}`);
  }

  whole(most: number): number {
    const { value } = this;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
    throw this.fault(`expected a whole number up to ${most}`);
  }
}

function readArchitectures(root: Reader): SeccompProfile["architectures"] {
  if (root.has("archMap") && root.has("architectures")) {
    throw root.at("archMap").fault("given together with architectures");
  }
  const listed = root.list("architectures").map((item) => item.text());
  const mapped = root
    .list("archMap")
    .map((item) => [
      item.at("architecture").text(),
      ...item.list("subArchitectures").map((sub) => sub.text()),
    ]);
  const ofMachine = (machine: MachineArch): readonly string[] => {
    const native = natives[machine];
    return [...new Set([native, ...listed, ...mapped.filter(([first]) => first === native).flat()])];
  };
  return { x64: ofMachine("x64"), arm64: ofMachine("arm64") };
}

function readRule(rule: Reader): ProfileRule {
  if (rule.has("name") && rule.has("names")) throw rule.at("name").fault("given together with names");
  const names = rule.has("name") ? [rule.at("name")] : rule.list("names");
  const errnoRet = readErrno(rule, "errnoRet");
  return {
    names: names.map((name) => name.text()),
    action: rule.at("action").oneOf(actions),
    ...(errnoRet === undefined ? {} : { errnoRet }),
    args: rule.list("args").map(readArgument),
    only: readCondition(rule.at("includes")),
    unless: readCondition(rule.at("excludes")),
  };
}

function readArgument(argument: Reader): SeccompArg {
  const valueTwo = argument.at("valueTwo");
  return {
    index: argument.at("index").whole(5),
    // JSON numbers above 2^53 are not exact, and a filter that compares with another number is worse than none.
    value: argument.at("value").whole(Number.MAX_SAFE_INTEGER),
    ...(valueTwo.value === undefined ? {} : { valueTwo: valueTwo.whole(Number.MAX_SAFE_INTEGER) }),
    op: argument.at("op").oneOf(operators),
  };
}

function readCondition(condition: Reader): RuleCondition {
  if (condition.value === undefined) return {};
  const arches = condition.list("arches").map((arch) => arch.text());
  const capabilities = condition.list("caps").map((capability) => capability.text());
  const minKernel = condition.at("minKernel");
  return {
    ...(capabilities.length === 0 ? {} : { capabilities }),
    // An architecture that Berth does not run on matches nothing; the list stays, or it would match all.
    ...(arches.length === 0 ? {} : { arches: arches.flatMap((arch) => machines[arch] ?? []) }),
    ...(minKernel.value === undefined ? {} : { minKernel: readKernel(minKernel) }),
  };
}

function readKernel(text: Reader): KernelRelease {
  const [, major, minor] = /^(\d{1,4})\.(\d{1,4})$/.exec(text.text()) ?? [];
  if (major === undefined || minor === undefined) throw text.fault("expected a version such as 4.8");
  return { major: Number(major), minor: Number(minor) };
}

function readErrno(from: Reader, key: string): number | undefined {
  const errno = from.at(key);
  return errno.value === undefined ? undefined : errno.whole(maxErrno);
}
