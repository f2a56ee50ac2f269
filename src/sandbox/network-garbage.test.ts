import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { Logger } from "../core/logger.ts";
import type { JobRequest, ReportingJob } from "../store/index.ts";
import { garbageIntervalMs, startNetworkGarbage } from "./network-garbage.ts";

const job: ReportingJob = {
  id: "j",
  signal: new AbortController().signal,
  stage: (_name, work) => work(),
  note: () => undefined,
  progress: () => undefined,
};

test("network garbage: collected at start and every hour, also after a failure, and not after the end", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const kinds: string[] = [];
  const warnings: unknown[] = [];
  const logger = { warn: (_text: string, fields: unknown) => warnings.push(fields) } as unknown as Logger;
  const collecting = startNetworkGarbage({
    networks: { collectGarbage: () => Promise.reject(new Error("plugin x: no")) },
    jobs: {
      run: (request: JobRequest, _signal: AbortSignal, work) => {
        kinds.push(request.kind);
        return work(job);
      },
    },
    logger,
  });
  await turn();
  assert.equal(kinds.length, 1);
  t.mock.timers.tick(garbageIntervalMs);
  await turn();
  assert.deepEqual(kinds, ["CollectNetworkGarbage", "CollectNetworkGarbage"]);
  assert.deepEqual(warnings, [{ error: "plugin x: no" }, { error: "plugin x: no" }]);
  await collecting[Symbol.asyncDispose]();
  t.mock.timers.tick(2 * garbageIntervalMs);
  await turn();
  assert.equal(kinds.length, 2);
});
