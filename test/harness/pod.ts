import { readFile } from "node:fs/promises";
import type { ContainerConfig } from "../../src/cri/types/runtime/v1/ContainerConfig.ts";
import type { ContainerStatus__Output } from "../../src/cri/types/runtime/v1/ContainerStatus.ts";
import type { LinuxContainerSecurityContext } from "../../src/cri/types/runtime/v1/LinuxContainerSecurityContext.ts";
import type { NamespaceOption } from "../../src/cri/types/runtime/v1/NamespaceOption.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import type { TestDaemon } from "./daemon.ts";
import { podConfig, runPod, scriptConfig, untilExited } from "./requests.ts";

/** What a container that ran to its end left. */
export interface Finished {
  readonly id: string;
  readonly status: ContainerStatus__Output;
  /** Standard output, as the log has it. */
  readonly stdout: string;
  readonly stderr: string;
}

/** What a test changes of a container; `security` is merged with the pod's namespaces. */
export type ContainerChange = ContainerConfig & { readonly security?: LinuxContainerSecurityContext };

/** A pod that is removed with all its containers when the test ends. */
export class TestPod implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly id: string;
  readonly config: PodSandboxConfig;
  #containers = 0;

  private constructor(daemon: TestDaemon, id: string, config: PodSandboxConfig) {
    this.daemon = daemon;
    this.id = id;
    this.config = config;
  }

  /** Runs a pod; containers have a PID namespace each unless `change` says otherwise. */
  static async run(daemon: TestDaemon, change: PodSandboxConfig = {}): Promise<TestPod> {
    const config = podConfig(daemon, change);
    return new TestPod(daemon, await runPod(daemon, config), config);
  }

  /** As {@link run}, with other namespaces. */
  static async withNamespaces(
    daemon: TestDaemon,
    options: NamespaceOption,
    change: PodSandboxConfig = {},
  ): Promise<TestPod> {
    return TestPod.run(daemon, { linux: { security_context: { namespace_options: options } }, ...change });
  }

  /** Makes a container that runs a shell script; its id. */
  async create(script: string, change: ContainerChange = {}): Promise<string> {
    this.#containers += 1;
    const name = `c${this.#containers}`;
    const { security, ...config } = change;
    const { container_id } = await this.daemon.runtime.CreateContainer({
      pod_sandbox_id: this.id,
      sandbox_config: this.config,
      config: scriptConfig(script, {
        metadata: { name, attempt: 0 },
        log_path: `${name}.log`,
        linux: { security_context: { namespace_options: this.#namespaces(), ...security } },
        ...config,
      }),
    });
    return container_id;
  }

  /** As {@link create}, and starts it. */
  async start(script: string, change: ContainerChange = {}): Promise<string> {
    const container_id = await this.create(script, change);
    await this.daemon.runtime.StartContainer({ container_id });
    return container_id;
  }

  /** As {@link start}, and waits for its end. */
  async finish(script: string, change: ContainerChange = {}): Promise<Finished> {
    const id = await this.start(script, change);
    const status = await untilExited(this.daemon, id);
    const log = await readFile(status.log_path, "utf8");
    return { id, status, stdout: streamOf(log, "stdout"), stderr: streamOf(log, "stderr") };
  }

  /** What a script prints to standard output; throws where it fails. */
  async output(script: string, change: ContainerChange = {}): Promise<string> {
    const { status, stdout, stderr } = await this.finish(script, change);
    if (status.exit_code !== 0) throw new Error(`exit ${status.exit_code}: ${stdout}${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.runtime.RemovePodSandbox({ pod_sandbox_id: this.id });
  }

  #namespaces(): NamespaceOption {
    return this.config.linux?.security_context?.namespace_options ?? {};
  }
}

/** One stream of a log, put together again: a line tagged P goes on in the next one. */
export function streamOf(log: string, stream: "stdout" | "stderr"): string {
  let text = "";
  for (const line of log.split("\n")) {
    const [, of, tag, content] = /^\S+ (stdout|stderr) ([FP]) (.*)$/.exec(line) ?? [];
    if (of === stream) text += `${content ?? ""}${tag === "F" ? "\n" : ""}`;
  }
  return text;
}
