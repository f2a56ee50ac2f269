import { RuntimeError } from "../../core/errors.ts";
import { decodeLink, getLink, IFF_UP, setLink } from "../netlink/link.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import { emptyResult } from "../result.ts";

/** The loopback link is the first one of every network namespace (LOOPBACK_IFINDEX of the kernel). */
const loopbackIndex = 1;

/** Sets `lo` up; its addresses 127.0.0.1 and ::1 come from the kernel. */
export function loopbackPlugin(): Plugin {
  return {
    type: "loopback",
    add: async (call) => {
      await setUp(requireNamespace(call));
      if (call.prevResult !== undefined) return call.prevResult;
      return {
        ...emptyResult,
        interfaces: [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: call.netns }],
        ips: [
          { address: "127.0.0.1/8", interface: 0 },
          { address: "::1/128", interface: 0 },
        ],
      };
    },
    // The link goes with its namespace.
    del: () => Promise.resolve(),
    check: async (call) => {
      const [reply] = await requireNamespace(call).rtnetlink.execute("lo", [getLink("lo")]);
      const link = reply?.messages[0];
      if (link === undefined || (decodeLink(link.payload).flags & IFF_UP) === 0) {
        throw new RuntimeError("failed-precondition", `lo is not up in ${call.netns}`);
      }
    },
    gc: () => Promise.resolve(),
  };
}

/** Sets the loopback link of a pod's namespace up. */
async function setUp(namespace: PodNamespace): Promise<void> {
  await namespace.rtnetlink.execute("lo", [setLink(loopbackIndex, { flags: IFF_UP })]);
}

/** The opened namespace of a call that needs one. */
export function requireNamespace(call: PluginCall): PodNamespace {
  if (call.namespace !== undefined) return call.namespace;
  throw new RuntimeError("not-found", `container ${call.containerId}: its network namespace is gone`);
}
