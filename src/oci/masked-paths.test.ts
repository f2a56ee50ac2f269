import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerSecurityContext } from "../core/security.ts";
import { protectedPaths } from "./masked-paths.ts";

function security(part: object): ContainerSecurityContext {
  const base = {
    privileged: false,
    maskedPaths: [],
    readonlyPaths: [],
    namespaces: { user: { mode: "node" } },
  };
  return { ...base, ...part } as unknown as ContainerSecurityContext;
}

const userns = { namespaces: { user: { mode: "pod", uids: [], gids: [] } } };

test("masked paths: the request's, or the kubelet's defaults where it says nothing", () => {
  const given = { maskedPaths: ["/bin/ls"], readonlyPaths: [] };
  assert.deepEqual(protectedPaths(security(given)), { masked: ["/bin/ls"], readonly: [] });
  const defaults = protectedPaths(security({}));
  assert.ok(defaults.masked.includes("/proc/kcore") && defaults.readonly.includes("/proc/sys"));
  assert.deepEqual(protectedPaths(security(userns)), { masked: [], readonly: [] }, "procMount Unmasked");
  assert.deepEqual(protectedPaths(security({ ...given, privileged: true })), { masked: [], readonly: [] });
});
