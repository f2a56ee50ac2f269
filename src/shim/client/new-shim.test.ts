import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  type FakePeer,
  type FakeScript,
  FakeShim,
  fakeIdentity,
} from "../../../test/shim/support/fake-shim.ts";
import { Channel } from "./channel.ts";
import { type CreateOptions, type ShimAhead, ShimConnection } from "./shim-connection.ts";
import type { Wait } from "./wait.ts";

const wait = { timeoutMs: 2000 };
const container = { id: "c", cgroup: "/c" };
const created = { pid: 5, pidStartTicks: 6, shimPid: 7, warnings: {} };
const options = { bundle: "/b", socket: "/s" } as CreateOptions;

/** A shim that is asked for ahead of a fake launcher, without a taker. */
const askAhead = (fake: FakeShim): ShimAhead =>
  ShimConnection.ofNew(
    async (listener, within: Wait) => {
      const { channel } = await Channel.open(fake.path, fakeIdentity, listener, within);
      return channel;
    },
    fakeIdentity,
    wait,
  );

/** Takes what the client sends, and answers each of these requests; cuts the connection at any other. */
async function answer(peer: FakePeer, types: readonly string[]): Promise<void> {
  await peer.greet();
  while (true) {
    const { seq, type } = await peer.message();
    if (!types.includes(String(type))) {
      peer.cut();
      return;
    }
    peer.send({ seq, ok: type === "create" ? created : {} });
  }
}

const all = ["new-shim", "prepare", "create"];

const cutOff: FakeScript = (peer) => {
  peer.cut();
  return Promise.resolve();
};

const lost: readonly (readonly [name: string, first: FakeScript])[] = [
  ["was cut off before it said hello", cutOff],
  ["was lost while it was asked for", (peer) => answer(peer, [])],
  ["was lost when it was prepared", (peer) => answer(peer, ["new-shim"])],
];

await suite("new shim", () => {
  for (const [name, first] of lost) {
    test(`new shim: one that ${name} is asked for again by its taker, once`, async () => {
      let asked = 0;
      await using fake = await FakeShim.start((peer, index) => {
        asked++;
        return index === 0 ? first(peer, index) : answer(peer, all);
      });
      const ahead = askAhead(fake);
      ahead.takeFor(wait);
      ahead.prepare(container);
      const { created: made, connection } = await ahead.create(options, wait);
      assert.equal(made.shimPid, 7);
      assert.equal(asked, 2);
      connection.close();
    });

    test(`new shim: one that ${name} twice fails its taker`, async () => {
      let asked = 0;
      await using fake = await FakeShim.start((peer, index) => {
        asked++;
        return first(peer, index);
      });
      const ahead = askAhead(fake);
      ahead.takeFor(wait);
      ahead.prepare(container);
      await assert.rejects(ahead.create(options, wait), { code: "unavailable" });
      await ahead.cancel();
      assert.equal(asked, 2);
    });
  }

  test("new shim: one that was lost after it was prepared is not asked for again", async () => {
    let asked = 0;
    await using fake = await FakeShim.start((peer) => {
      asked++;
      return answer(peer, ["new-shim", "prepare"]);
    });
    const ahead = askAhead(fake);
    ahead.takeFor(wait);
    ahead.prepare(container);
    await assert.rejects(ahead.create(options, wait), { code: "unavailable" });
    assert.equal(asked, 1);
  });

  for (const [name, bound, code] of [
    ["deadline", () => ({ timeoutMs: 50 }), "deadline-exceeded"],
    ["abort", () => ({ signal: AbortSignal.timeout(50) }), "aborted"],
    ["earlier abort", () => ({ signal: AbortSignal.abort() }), "aborted"],
  ] as const) {
    test(`new shim: one that does not come is waited for to its taker's ${name}, and let go`, async () => {
      const cut = Promise.withResolvers<undefined>();
      await using fake = await FakeShim.start(async (peer) => {
        await peer.greet();
        await peer.gone();
        cut.resolve(undefined);
      });
      const ahead = askAhead(fake);
      ahead.takeFor(wait);
      ahead.prepare(container);
      const startedAt = performance.now();
      await assert.rejects(ahead.create(options, bound()), { code });
      await ahead.cancel();
      assert.ok(performance.now() - startedAt < 1500);
      await cut.promise;
    });
  }
});
