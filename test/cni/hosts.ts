import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { newPodId } from "../../src/core/ids.ts";
import { makeNamespace, output, type TestNamespace } from "./namespaces.ts";

/** Opens a runtime in the namespace that it is started in and does what each line of its input asks. */
const hostScript = `
  import { createInterface } from "node:readline";
  import { openPodNetworks } from ${JSON.stringify(new URL("../../src/cni/index.ts", import.meta.url).href)};
  import { openStore } from ${JSON.stringify(new URL("../../src/store/index.ts", import.meta.url).href)};
  const [folder] = process.argv.slice(1);
  const job = { id: "test", signal: new AbortController().signal, stage: (_, work) => work(), note: () => {} };
  const warnings = [];
  const networks = await openPodNetworks({
    confDir: folder + "/net.d", binDirs: [], store: await openStore(folder + "/store"),
    environment: { PATH: process.env.PATH }, onInfo: () => {}, onWarning: (text) => warnings.push(text),
  });
  const commands = {
    attach: ({ id, netns }) => networks.attach(
      { id, name: "a", namespace: "b", uid: id, portMappings: [] }, netns, job, AbortSignal.timeout(20000)),
    detach: ({ id }) => networks.detach(id, job, AbortSignal.timeout(20000)),
    collect: () => networks.collectGarbage(job, AbortSignal.timeout(20000)),
    warnings: () => warnings,
  };
  console.log("{}");
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...rest } = JSON.parse(line);
    try {
      console.log(JSON.stringify({ value: (await commands[command](rest)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: error.message }));
    }
  }
  await networks[Symbol.asyncDispose]();
`;

/** A pod of a test host. */
export interface HostPod extends TestNamespace {
  readonly id: string;
  readonly ips: readonly string[];
  readonly mtu: number | undefined;
}

/** A machine of its own: a network namespace on a common wire, with a runtime inside. */
export class TestHost implements AsyncDisposable {
  readonly folder: string;
  readonly namespace: TestNamespace;
  readonly #made: AsyncDisposableStack;
  #process: ChildProcess | undefined;
  #answers: AsyncIterator<string> | undefined;

  private constructor(folder: string, namespace: TestNamespace, made: AsyncDisposableStack) {
    this.#made = made;
    this.folder = folder;
    this.namespace = namespace;
  }

  /** Puts a host on the bridge `wire`, with addresses such as `192.0.2.1/24`. */
  static async create(name: string, wire: string, addresses: readonly string[]): Promise<TestHost> {
    await using made = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "berth-host-"));
    made.defer(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, "net.d"));
    const namespace = made.use(await makeNamespace());
    const pid = namespace.path.split("/")[2] ?? "";
    const peer = ["peer", "name", "eth0", "netns", pid];
    await output("ip", "link", "add", name, "type", "veth", ...peer);
    // Its namespace would take it along, but only a while after.
    made.defer(async () => {
      await output("ip", "link", "delete", name);
    });
    await output("ip", "link", "set", name, "master", wire, "up");
    for (const address of addresses) {
      const flags = address.includes(":") ? ["nodad"] : [];
      await namespace.run("ip", "address", "add", address, "dev", "eth0", ...flags);
    }
    for (const link of ["lo", "eth0"]) await namespace.run("ip", "link", "set", link, "up");
    return new TestHost(folder, namespace, made.move());
  }

  /** Writes the network list; the runtime, where it runs, follows by itself. */
  configure(network: object): Promise<void> {
    return writeFile(join(this.folder, "net.d/10-test.conflist"), JSON.stringify(network));
  }

  /** Starts the runtime, after ending one that runs. */
  async start(): Promise<void> {
    await this.stop();
    const node = [process.execPath, "--input-type=module", "-e", hostScript, this.folder];
    const child = spawn("nsenter", [`--net=${this.namespace.path}`, ...node], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#process = child;
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    await this.#answers.next();
  }

  /** Ends the runtime as SIGTERM does. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined) return;
    const ended = once(child, "exit");
    child.stdin?.end();
    await ended;
  }

  /** Asks the runtime for something. */
  async ask(command: string, more: object = {}): Promise<unknown> {
    this.#process?.stdin?.write(`${JSON.stringify({ command, ...more })}\n`);
    const { value: line } = (await this.#answers?.next()) as { value: string | undefined };
    const answer = JSON.parse(line ?? '{"error":"the runtime ended"}') as { value: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  async attach(): Promise<HostPod> {
    const namespace = this.#made.use(await makeNamespace());
    const id = newPodId();
    const { ips, interfaces } = (await this.ask("attach", { id, netns: namespace.path })) as {
      ips: string[];
      interfaces: { name: string; mtu?: number }[];
    };
    return { ...namespace, id, ips, mtu: interfaces.find(({ name }) => name === "eth0")?.mtu };
  }

  async detach(pod: HostPod): Promise<void> {
    await this.ask("detach", { id: pod.id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#made.disposeAsync();
  }
}
