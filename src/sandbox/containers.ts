import { RuntimeError } from "../core/errors.ts";
import type { Container, ContainerConfig } from "../core/container.ts";
import type { ContainerId } from "../core/ids.ts";
import type { LinuxResources } from "../core/linux-resources.ts";
import type { CgroupFacts } from "../oci/index.ts";
import type { AttachSession, ExecSession, OutputHandlers } from "../shim/client/index.ts";
import type { JobJournal } from "../store/index.ts";
import { openAttach, type AttachRequest } from "./containers/attach.ts";
import { createContainer, type CreateContainerDeps } from "./containers/create.ts";
import { openExec, type ExecRequest } from "./containers/exec.ts";
import { execSync, type ExecSyncResult } from "./containers/exec-sync.ts";
import { logLoss, type LogLoss } from "./containers/log-loss.ts";
import { removeContainer } from "./containers/remove.ts";
import { reopenContainerLog } from "./containers/reopen-log.ts";
import { startContainer } from "./containers/start.ts";
import { stopContainer } from "./containers/stop.ts";
import { updateContainer } from "./containers/update.ts";
import type { Inventory } from "./inventory.ts";
import { containerAttempt, describeContainer, keyOf } from "./names.ts";
import { selectsContainer, type ContainerFilter } from "./selection.ts";
import type { Unclaimed } from "./unclaimed.ts";

/** What the containers' side of the daemon needs. */
export type ContainersDeps = CreateContainerDeps & {
  readonly jobs: JobJournal;
  readonly unclaimed: Unclaimed;
  readonly cgroups: CgroupFacts;
};

/** Containers, as the CRI's handlers see them: changes are jobs, reads come from memory. */
export class Containers {
  readonly #deps: ContainersDeps;
  readonly #inventory: Inventory;
  readonly #jobs: JobJournal;

  constructor(deps: ContainersDeps) {
    this.#deps = deps;
    this.#inventory = deps.inventory;
    this.#jobs = deps.jobs;
  }

  /**
   * Makes a container in a pod. A call with the metadata of one that is being made, or that was made and that nobody
   * claimed, gets that one. Who names a pod has it: the pod counts as claimed.
   */
  async create(podText: string, config: ContainerConfig, signal: AbortSignal): Promise<ContainerId> {
    const pod = this.#inventory.pod(podText);
    const { unclaimed } = this.#deps;
    await unclaimed.claim(pod, signal);
    const name = containerAttempt(pod.id, config.metadata);
    const request = {
      kind: "CreateContainer",
      subject: describeContainer(pod.id, config.metadata),
      arguments: { image: config.image },
      key: keyOf(name),
      kept: "journal" as const,
    };
    const id = await this.#jobs.run(request, signal, (job) => {
      const work = unclaimed.make(name, job, () => createContainer(this.#deps, pod, config, job));
      const arriving = work.catch(() => undefined);
      pod.arriving.add(arriving);
      void arriving.finally(() => pod.arriving.delete(arriving));
      return work;
    });
    const { id: claimed } = await unclaimed.claim(this.#inventory.container(id), signal);
    return claimed;
  }

  /** Lets a created container run its command. Who names it has it: it counts as claimed. */
  async start(text: string, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.container(text);
    await this.#deps.unclaimed.claim(entry, signal);
    await this.#jobs.run(
      { kind: "StartContainer", subject: entry.id, key: `start ${entry.id}`, kept: "journal" },
      signal,
      (job) => entry.lifecycle.run(() => startContainer(this.#deps, entry, job)),
    );
  }

  /** Ends a container; unknown and ended ones are no error. Calls overlap: the earliest deadline counts. */
  async stop(text: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.findContainer(text);
    if (entry === undefined) return;
    await this.#jobs.run(
      {
        kind: "StopContainer",
        subject: entry.id,
        arguments: { timeoutMs: String(timeoutMs) },
        kept: "journal",
      },
      signal,
      (job) => stopContainer(this.#deps, entry, timeoutMs, job.signal),
    );
  }

  /** Removes a container, killing it where it runs; an unknown one is no error. */
  async remove(text: string, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.findContainer(text);
    if (entry === undefined) return;
    await this.#jobs.run(
      { kind: "RemoveContainer", subject: entry.id, key: `remove ${entry.id}`, kept: "journal" },
      signal,
      (job) => entry.lifecycle.run(() => removeContainer(this.#deps, entry, job)),
    );
  }

  /** Changes what a container may use. */
  async update(text: string, change: LinuxResources, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.container(text);
    await this.#jobs.run(
      { kind: "UpdateContainerResources", subject: entry.id, kept: "journal" },
      signal,
      (job) =>
        entry.lifecycle.run(() => updateContainer(this.#inventory, this.#deps.cgroups, entry, change, job)),
    );
  }

  /** Makes a container go on in a fresh log file. */
  async reopenLog(text: string, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.container(text);
    await this.#jobs.run({ kind: "ReopenContainerLog", subject: entry.id, kept: "memory" }, signal, (job) =>
      reopenContainerLog(entry, job.signal),
    );
  }

  /** What is missing in a container's log, asked of its shim; undefined where that doesn't answer. */
  logLoss(text: string): Promise<LogLoss | undefined> {
    return logLoss(this.#inventory.container(text));
  }

  /** Runs a command in a container to its end. When the caller leaves, the command is killed. */
  async execSync(
    text: string,
    args: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult> {
    const entry = this.#inventory.container(text);
    return this.#jobs.run(
      { kind: "ExecSync", subject: entry.id, arguments: { command: args[0] ?? "" }, kept: "memory" },
      signal,
      () => execSync(this.#deps, entry, args, timeoutMs, signal),
    );
  }

  /** Starts a command in a container with its streams in the caller's hands. */
  async exec(
    text: string,
    request: ExecRequest,
    handlers: OutputHandlers,
    signal: AbortSignal,
  ): Promise<ExecSession> {
    const entry = this.#inventory.container(text);
    return openExec(this.#deps, entry, request, handlers, signal);
  }

  /** Joins a container's streams; they stay its own when the caller leaves. */
  async attach(
    text: string,
    request: AttachRequest,
    handlers: OutputHandlers,
    signal: AbortSignal,
  ): Promise<AttachSession> {
    return openAttach(this.#inventory.container(text), request, handlers, signal);
  }

  /** The container with an id or a unique prefix of one; throws `not-found`. */
  get(text: string): Container {
    const { record } = this.#inventory.container(text);
    if (record.state.state === "creating") {
      throw new RuntimeError("not-found", `container ${record.id} is being made`);
    }
    return record;
  }

  /** The containers that a filter selects, newest first. */
  list(filter: ContainerFilter): readonly Container[] {
    return [...this.#inventory.containers()]
      .map((entry) => entry.record)
      .filter((container) => selectsContainer(filter, container))
      .reverse();
  }
}
