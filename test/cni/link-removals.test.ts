import assert from "node:assert/strict";
import { test } from "node:test";
import { openHostNetwork } from "../../src/cni/host-network.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

await enterPrivateNetwork();

test(
  "link removals: many at a time, one that is not there, one that is gone before its turn",
  needsRoot,
  async () => {
    await using host = openHostNetwork({});
    await using namespace = await makeNamespace();
    const pid = namespace.path.split("/")[2] ?? "";
    const names = Array.from({ length: 8 }, (_, index) => `rm${index}`);
    for (const name of names)
      await output("ip", ..."link add".split(" "), name, "type", "veth", "peer", `p${name}`, "netns", pid);
    // Of no batch: it stays, as does whatever else is in no group of this one's.
    await output("ip", "link", "add", "stays", "type", "bridge");
    const asked = ["rm0", ...names, "absent"];
    const removals = await Promise.all(asked.map((name) => host.removals.remove(name)));
    // Asked for twice, it is removed once.
    assert.deepEqual(removals.slice(2), [...names.slice(1).map(() => "removed"), "absent"]);
    assert.deepEqual(removals.slice(0, 2).toSorted(), ["absent", "removed"]);
    assert.deepEqual((await hostLinks()).toSorted(), ["lo", "stays"]);
    assert.equal(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), "");
    // Whoever was waiting asks for the next one at the very end of the work.
    const last = host.removals.remove("absent").then(() => host.removals.remove("stays"));
    assert.equal(await last, "removed");
  },
);
