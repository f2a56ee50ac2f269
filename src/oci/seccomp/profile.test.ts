import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import type { ContainerSecurityContext } from "../../core/security.ts";
import { allCapabilities } from "../capabilities.ts";
import { callsByCapability, harmlessCalls } from "./default-calls.ts";
import { defaultProfile } from "./default-profile.ts";
import { maxSeccompProfileBytes, parseSeccompProfile } from "./parse-profile.ts";
import { applyProfile, type ProfileTarget } from "./profile.ts";
import { seccompSection } from "./section.ts";

const target: ProfileTarget = { bounding: ["CAP_CHOWN"], arch: "x64", kernel: { major: 6, minor: 1 } };

function namesOf(text: string, where: Partial<ProfileTarget> = {}): readonly string[] {
  const { syscalls = [] } = applyProfile(parseSeccompProfile(text, "p.json"), { ...target, ...where });
  return syscalls.flatMap(({ names }) => names);
}

test("seccomp: the default's tables name a call once and only capabilities that exist", () => {
  const names = Object.values(harmlessCalls).flat();
  assert.equal(new Set(names).size, names.length);
  for (const name of Object.values(callsByCapability).flat()) assert.ok(!names.includes(name), name);
  const known: readonly string[] = allCapabilities;
  for (const capability of Object.keys(callsByCapability)) assert.ok(known.includes(capability), capability);
});

test("seccomp: an OCI profile comes back as it was", () => {
  const document = {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    flags: ["SECCOMP_FILTER_FLAG_LOG"],
    syscalls: [
      { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
      {
        names: ["clone"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 38,
        args: [{ index: 0, value: 2_114_060_288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
    ],
  };
  assert.deepEqual(applyProfile(parseSeccompProfile(JSON.stringify(document), "p.json"), target), document);
});

test("seccomp: Docker's conditions", () => {
  const rule = (name: string, part: object): object => ({ names: [name], action: "SCMP_ACT_ALLOW", ...part });
  const text = JSON.stringify({
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { name: "read", action: "SCMP_ACT_ALLOW", comment: "old form", args: null },
      rule("chown", { includes: { caps: ["CAP_CHOWN"] } }),
      rule("both", { includes: { caps: ["CAP_CHOWN", "CAP_SYS_ADMIN"] } }),
      rule("clone", { excludes: { caps: ["CAP_SYS_ADMIN", "CAP_CHOWN"] } }),
      rule("arch_prctl", { includes: { arches: ["amd64", "x32"] } }),
      rule("set_tls", { includes: { arches: ["arm", "arm64"] } }),
      rule("s390_pci_mmio_read", { includes: { arches: ["s390x"] } }),
      rule("not_here", { excludes: { arches: ["amd64"] } }),
      rule("ptrace", { includes: { minKernel: "4.8" } }),
      rule("future", { includes: { minKernel: "6.2" } }),
      rule("past", { excludes: { minKernel: "6.0" } }),
    ],
  });
  assert.deepEqual(namesOf(text), ["read", "chown", "arch_prctl", "ptrace"]);
  assert.deepEqual(namesOf(text, { arch: "arm64", bounding: [], kernel: { major: 5, minor: 10 } }), [
    "read",
    "clone",
    "set_tls",
    "not_here",
    "ptrace",
    "past",
  ]);
  const { architectures } = parseSeccompProfile(text, "p.json");
  assert.deepEqual(architectures, {
    x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    arm64: ["SCMP_ARCH_AARCH64"],
  });
});

test("seccomp: what is wrong in a profile is told with file and place", () => {
  const table: readonly (readonly [string, unknown, RegExp])[] = [
    ["no JSON", "{", /^\/p\.json: not JSON/],
    ["no object", [], /^\/p\.json: expected an object/],
    ["no default", {}, /^\/p\.json: defaultAction: expected a text/],
    ["bad action", { defaultAction: "ALLOW" }, /defaultAction: "ALLOW" is not one of/],
    ["notify", { defaultAction: "SCMP_ACT_NOTIFY" }, /SCMP_ACT_NOTIFY/],
    [
      "listener",
      { defaultAction: "SCMP_ACT_LOG", listenerPath: "/s" },
      /listenerPath: a listener is not supported/,
    ],
    ["flag", { defaultAction: "SCMP_ACT_LOG", flags: ["X"] }, /flags\[0\]: "X"/],
    ["list", { defaultAction: "SCMP_ACT_LOG", syscalls: {} }, /syscalls: expected a list/],
    [
      "two forms",
      { defaultAction: "SCMP_ACT_LOG", archMap: [{}], architectures: ["A"] },
      /archMap: given together/,
    ],
    [
      "rule",
      { defaultAction: "SCMP_ACT_LOG", syscalls: [{ names: [1], action: "SCMP_ACT_LOG" }] },
      /syscalls\[0\]\.names\[0\]/,
    ],
    [
      "value",
      {
        defaultAction: "SCMP_ACT_LOG",
        syscalls: [
          { names: [], action: "SCMP_ACT_LOG", args: [{ index: 0, value: 2 ** 60, op: "SCMP_CMP_EQ" }] },
        ],
      },
      /syscalls\[0\]\.args\[0\]\.value: expected a whole number/,
    ],
    [
      "kernel",
      {
        defaultAction: "SCMP_ACT_LOG",
        syscalls: [{ names: [], action: "SCMP_ACT_LOG", includes: { minKernel: "x" } }],
      },
      /includes\.minKernel: expected a version/,
    ],
    ["size", `"${"x".repeat(maxSeccompProfileBytes)}"`, /larger than/],
  ];
  for (const [name, document, message] of table) {
    const text = typeof document === "string" ? document : JSON.stringify(document);
    assert.throws(
      () => parseSeccompProfile(text, "/p.json"),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
      name,
    );
  }
});

test("seccomp: which profile a container gets", () => {
  const facts = { supported: true, arch: "x64" as const, kernel: target.kernel };
  const localhost = parseSeccompProfile('{"defaultAction":"SCMP_ACT_LOG"}', "p.json");
  const profiles = { runtimeDefault: defaultProfile, localhost };
  const section = (seccomp: object, privileged = false): string | undefined => {
    const security = { seccomp, privileged } as unknown as ContainerSecurityContext;
    return seccompSection(security, profiles, facts, [])?.defaultAction;
  };
  assert.equal(section({ kind: "runtime-default" }), "SCMP_ACT_ERRNO");
  assert.equal(section({ kind: "localhost", ref: "/p" }), "SCMP_ACT_LOG");
  assert.equal(section({ kind: "unconfined" }), undefined);
  assert.equal(section({ kind: "localhost", ref: "/p" }, true), undefined, "privileged");
  const security = {
    seccomp: { kind: "runtime-default" },
    privileged: false,
  } as unknown as ContainerSecurityContext;
  assert.throws(
    () => seccompSection(security, profiles, { ...facts, supported: false }, []),
    (error) => hasCode(error, "failed-precondition"),
  );
});
