import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import type { ContainerSecurityContext, SelinuxOptions } from "../core/security.ts";
import { apparmorProfile, type LsmFacts, selinuxLabels } from "./lsm.ts";

const both: LsmFacts = { apparmor: true, apparmorDefault: "berth-default", selinux: true };
const none: LsmFacts = { apparmor: false, selinux: false };

function security(part: object): ContainerSecurityContext {
  return {
    privileged: false,
    apparmor: { kind: "runtime-default" },
    ...part,
  } as unknown as ContainerSecurityContext;
}

function options(part: Partial<SelinuxOptions>): SelinuxOptions {
  return { user: "", role: "", type: "", level: "", ...part };
}

test("lsm: AppArmor profiles", () => {
  const localhost = { apparmor: { kind: "localhost", ref: "mine" } };
  assert.equal(apparmorProfile(security({}), both), "berth-default");
  const unspecified = security({ apparmor: { kind: "unspecified" } });
  assert.equal(apparmorProfile(unspecified, both), "berth-default");
  assert.equal(apparmorProfile(unspecified, none), undefined);
  const broken: LsmFacts = { apparmor: true, apparmorProblem: "apparmor_parser is missing", selinux: false };
  assert.equal(apparmorProfile(unspecified, broken), undefined);
  for (const [facts, reason] of [
    [none, "the host has no AppArmor"],
    [broken, "apparmor_parser is missing"],
  ] as const) {
    assert.throws(
      () => apparmorProfile(security({}), facts),
      (error) =>
        hasCode(error, "failed-precondition") &&
        error.message === `apparmor profile RuntimeDefault: ${reason}`,
    );
  }
  assert.equal(apparmorProfile(security({ privileged: true }), both), undefined);
  assert.equal(apparmorProfile(security({ apparmor: { kind: "unconfined" } }), both), undefined);
  assert.equal(apparmorProfile(security(localhost), both), "mine");
  assert.equal(apparmorProfile(security({ ...localhost, privileged: true }), both), "mine");
  assert.throws(
    () => apparmorProfile(security(localhost), none),
    (error) => hasCode(error, "failed-precondition") && error.message.includes("mine"),
  );
});

test("lsm: SELinux labels of the container, else of the pod", () => {
  const pod = security({ selinux: options({ level: "s0:c1,c2" }) });
  assert.deepEqual(selinuxLabels(security({}), pod, both), {
    process: "system_u:system_r:container_t:s0:c1,c2",
    mount: "system_u:object_r:container_file_t:s0:c1,c2",
  });
  const own = security({ selinux: options({ type: "spc_t", user: "u", role: "r" }) });
  assert.deepEqual(selinuxLabels(own, pod, both), {
    process: "u:r:spc_t:s0",
    mount: "u:object_r:container_file_t:s0",
  });
  assert.equal(selinuxLabels(security({ privileged: true }), pod, both), undefined);
  assert.equal(selinuxLabels(own, pod, none), undefined, "spc_t asks for nothing");
  assert.equal(selinuxLabels(security({}), security({}), none), undefined);
  assert.throws(
    () => selinuxLabels(security({}), pod, none),
    (error) => hasCode(error, "failed-precondition") && error.message.includes("no SELinux"),
  );
});
