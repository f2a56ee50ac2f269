import type { Clock } from "../core/clock.ts";
import type { JobJournal } from "../store/index.ts";
import type { Containers } from "./containers.ts";
import type { Images } from "./images.ts";
import { runningJobs } from "./job-summaries.ts";
import type { Pods } from "./pods.ts";
import { redacted } from "./redacted.ts";

/** What a description of the daemon is made from. */
export interface DaemonFacts {
  readonly version: string;
  readonly build: string;
  readonly bootId: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly checks: readonly unknown[];
  readonly pods: Pods;
  readonly containers: Containers;
  readonly images: Images;
  readonly jobs: JobJournal;
  readonly clock: Clock;
}

/** The daemon as a person who debugs it wants to see it: the keys are those that api/berth/v1/admin.proto names. */
export function describeDaemon(facts: DaemonFacts): Readonly<Record<string, unknown>> {
  const { config } = facts;
  const jobs = facts.jobs.list();
  return {
    version: facts.version,
    node_version: process.version,
    build_id: facts.build,
    boot_id: facts.bootId,
    pid: process.pid,
    config: redacted(config),
    kernel_checks: facts.checks,
    paths: { root: config["root"], state: config["state"], socket: config["socket"] },
    counts: {
      pods: countBy(facts.pods.list({ id: "", labels: {} })),
      containers: countBy(facts.containers.list({ id: "", podId: "", labels: {} })),
      images: facts.images.list().length,
      jobs: countBy(jobs.map(({ state }) => ({ state: { state } }))),
    },
    running_jobs: runningJobs(jobs, facts.clock()),
  };
}

function countBy(items: readonly { readonly state: { readonly state: string } }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of items) counts[state.state] = (counts[state.state] ?? 0) + 1;
  return counts;
}
