import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError, hasCode } from "../../core/errors.ts";
import { launcherSocketName } from "../protocol/launch.ts";
import type {
  CreatePodRequest,
  DestroyRequest,
  LauncherRequest,
  PodCreated,
  RemovePodRequest,
} from "../protocol/messages.ts";
import { Channel, type ChannelListener, type Unnumbered } from "./channel.ts";
import { type Identity, readIdentity } from "./identity.ts";
import { type LauncherProgram, startLauncherProcess } from "./launcher-process.ts";
import { podCreatedOf } from "./replies.ts";
import { type NewShim, type ShimAhead, ShimConnection, nothing } from "./shim-connection.ts";
import { type Wait, bounded, remaining } from "./wait.ts";

/** How long the next shim waits after one was taken: whoever took it has work for all processors now. */
const refillPauseMs = 30;

/** How often a launcher that starts is tried. */
const startPollMs = 5;

/** How long a launcher may take to say hello before it counts as hung and loses its socket to another. */
const greetTimeoutMs = 3_000;

/** The same while one starts: the hello may have gone to the one that is being replaced. */
const startGreetTimeoutMs = 200;

/** How long a launcher of another build has to end after it was asked to. */
const shutdownTimeoutMs = 2_000;

/** Where the launcher runs, and of what. */
export interface LauncherOptions extends LauncherProgram {
  /** The daemon's folder for what does not outlive a boot; the launcher's is `launcher` in it. */
  readonly runDir: string;
}

/**
 * The daemon's side of the launcher. Every request goes over a connection of its own; a launcher that is absent is
 * started again by the request that misses it, one of another build is replaced.
 */
export class Launcher {
  readonly identity: Identity;
  private readonly options: LauncherOptions;
  private readonly folder: string;
  private readonly socket: string;
  private ahead: ShimAhead | undefined;
  private refill: NodeJS.Timeout | "off" | undefined = "off";
  private starting: Promise<void> | undefined;

  private constructor(options: LauncherOptions, identity: Identity) {
    this.identity = identity;
    this.options = options;
    this.folder = join(options.runDir, "launcher");
    this.socket = join(this.folder, launcherSocketName);
  }

  /** Finds the launcher or starts it, and checks that it answers: `unavailable` with its last words when it does not. */
  static async ensure(options: LauncherOptions, wait: Wait = {}): Promise<Launcher> {
    const launcher = new Launcher(options, await readIdentity(options.bundle));
    await mkdir(launcher.folder, { recursive: true, mode: 0o700 });
    await chmod(launcher.folder, 0o700);
    const timeoutMs = Math.min(greetTimeoutMs, wait.timeoutMs ?? greetTimeoutMs);
    const build = await launcher.servingBuild({ ...wait, timeoutMs });
    if (build !== launcher.identity.build) {
      if (build !== undefined) await launcher.retire();
      await launcher.start(wait);
    }
    return launcher;
  }

  /**
   * A shim for a container to come, the one that was asked for ahead if it is there. It ends with this process, or when
   * it is let go without a container.
   */
  newShim(wait: Wait = {}): NewShim {
    const { ahead } = this;
    this.ahead = undefined;
    if (this.refill !== "off") {
      clearTimeout(this.refill);
      this.refill = setTimeout(() => {
        this.keepShimReady();
      }, refillPauseMs).unref();
    }
    if (ahead === undefined || ahead.isGone()) return this.askForShim(wait);
    ahead.takeFor(wait);
    return ahead;
  }

  /** From now on a shim is asked for ahead of each that is wanted, until {@link letGo}. */
  keepShimReady(): void {
    this.refill = undefined;
    this.ahead ??= this.askForShim({});
  }

  /** Lets go of the shim that was asked for ahead, and asks for no more. */
  async letGo(): Promise<void> {
    const { ahead, refill } = this;
    if (refill !== "off") clearTimeout(refill);
    this.refill = "off";
    this.ahead = undefined;
    await ahead?.cancel();
  }

  private askForShim(wait: Wait): ShimAhead {
    return ShimConnection.ofNew((listener, within) => this.reach(listener, within), this.identity, wait);
  }

  /** Makes and pins a pod's namespaces. */
  async createPod(request: Omit<CreatePodRequest, "type" | "seq">, wait: Wait = {}): Promise<PodCreated> {
    return await this.ask({ type: "create-pod", ...request }, podCreatedOf, wait);
  }

  /** Undoes {@link createPod}; what is gone already is no error. */
  async removePod(request: Omit<RemovePodRequest, "type" | "seq">, wait: Wait = {}): Promise<void> {
    await this.ask({ type: "remove-pod", ...request }, nothing, wait);
  }

  /** Kills and removes what a lost shim left in its cgroup. */
  async destroy(request: Omit<DestroyRequest, "type" | "seq">, wait: Wait = {}): Promise<void> {
    await this.ask({ type: "destroy", ...request }, nothing, wait);
  }

  /** Ends the launcher; its shims live on. A launcher that is not there is no error. */
  async shutdown(wait: Wait = {}): Promise<void> {
    await this.letGo();
    try {
      const channel = await this.open(unheard, wait);
      await channel.request({ type: "shutdown" }, nothing, wait).finally(() => {
        channel.close();
      });
    } catch (thrown) {
      if (!hasCode(thrown, "unavailable")) throw thrown;
    }
  }

  private async ask<T>(
    message: Unnumbered<LauncherRequest>,
    parse: (ok: unknown) => T,
    wait: Wait,
  ): Promise<T> {
    const startedAt = performance.now();
    const channel = await this.reach(unheard, wait);
    try {
      return await channel.request(message, parse, remaining(wait, startedAt));
    } finally {
      channel.close();
    }
  }

  /** A connection to the launcher; one that is absent is started, once for all who miss it at the same time. */
  private async reach(listener: ChannelListener, wait: Wait): Promise<Channel> {
    const startedAt = performance.now();
    try {
      return await this.open(listener, wait);
    } catch (thrown) {
      if (!hasCode(thrown, "unavailable")) throw thrown;
    }
    this.starting ??= this.start({}).finally(() => {
      this.starting = undefined;
    });
    await this.starting;
    return await this.open(listener, remaining(wait, startedAt));
  }

  private async open(listener: ChannelListener, wait: Wait): Promise<Channel> {
    const { channel } = await Channel.open(this.socket, this.identity, listener, wait);
    return channel;
  }

  /** The build of the launcher that serves; undefined where none does: absent, hung, or of a protocol we don't speak. */
  private async servingBuild(wait: Wait): Promise<string | undefined> {
    try {
      const { channel, peer } = await Channel.open(this.socket, this.identity, unheard, wait);
      channel.close();
      return peer.build;
    } catch (thrown) {
      if (isNobody(thrown)) return undefined;
      throw thrown;
    }
  }

  /** Asks a launcher of another build to end; one that does not loses its socket, and its shims live on either way. */
  private async retire(): Promise<void> {
    try {
      await this.shutdown({ timeoutMs: shutdownTimeoutMs });
    } catch (thrown) {
      if (!(thrown instanceof RuntimeError)) throw thrown;
    }
  }

  private async start(wait: Wait): Promise<void> {
    const process = await startLauncherProcess(this.options, this.folder, this.identity.build);
    const enough = new AbortController();
    try {
      await bounded<undefined>("start of the launcher", wait, ({ resolve, reject }) => {
        process.failed.catch(reject);
        this.untilServing(enough.signal).then(resolve, reject);
      });
    } finally {
      enough.abort();
      process.release();
    }
  }

  private async untilServing(enough: AbortSignal): Promise<undefined> {
    while (!enough.aborted) {
      const build = await this.servingBuild({ signal: enough, timeoutMs: startGreetTimeoutMs });
      if (build === this.identity.build) return;
      await sleep(startPollMs);
    }
  }
}

/** True for what connecting to a launcher that is of no use ends in. */
function isNobody(thrown: unknown): boolean {
  return (
    hasCode(thrown, "unavailable") ||
    hasCode(thrown, "deadline-exceeded") ||
    hasCode(thrown, "failed-precondition")
  );
}

/** A launcher sends nothing unasked. */
const unheard: ChannelListener = { onEvent: () => undefined, onOutput: () => undefined };
