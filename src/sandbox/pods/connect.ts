import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError } from "../../core/errors.ts";
import type { Pod } from "../../core/pod.ts";
import {
  AF_INET,
  AF_INET6,
  connect,
  isWritable,
  openNamespace,
  pendingError,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  sockaddrIn,
  sockaddrIn6,
  socket,
  withNetns,
} from "../../sys/index.ts";

/** How long a connection to a pod's port may take; within one machine the answer is there at once, or the backlog is full. */
const connectTimeoutMs = 10_000;

/** How often a connection that is in progress is looked at. */
const connectPollMs = 10;

/** A way to reach a port: through the pod's own loopback, IPv4 first. */
interface Route {
  readonly name: string;
  readonly family: number;
  readonly address: (port: number) => Buffer;
}

const routes: readonly Route[] = [
  { name: "127.0.0.1", family: AF_INET, address: (port) => sockaddrIn([127, 0, 0, 1], port) },
  {
    name: "::1",
    family: AF_INET6,
    address: (port) => sockaddrIn6(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), port),
  },
];

/**
 * Connects to a TCP port of a pod from within its network, to 127.0.0.1, else to ::1. The socket allows half-open
 * connections. Throws `failed-precondition` for a pod that is not ready, `unavailable` where nobody listens.
 */
export async function connectToPod(pod: Pod, port: number, signal: AbortSignal): Promise<Socket> {
  if (pod.state.state !== "ready") {
    throw new RuntimeError("failed-precondition", `pod ${pod.id} is ${pod.state.state}`);
  }
  const { netns } = pod.state.network;
  const failures: string[] = [];
  for (const route of routes) {
    try {
      return await connectBy(route, netns, port, signal);
    } catch (thrown) {
      if (signal.aborted)
        throw new RuntimeError("aborted", `connect to port ${port} of pod ${pod.id}: aborted`);
      failures.push(`${route.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }
  throw new RuntimeError("unavailable", `port ${port} of pod ${pod.id}: ${failures.join("; ")}`);
}

/** A socket belongs to the network namespace in which it was opened, wherever it is used then. */
async function connectBy(
  route: Route,
  netns: string | undefined,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const open = (): number => socket(route.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const fd = netns === undefined ? open() : openIn(netns, open);
  try {
    if (connect(fd, route.address(port)) === "in-progress") await connected(fd, signal);
    return new Socket({ fd, allowHalfOpen: true });
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

function openIn(netns: string, open: () => number): number {
  const namespace = openNamespace(netns);
  try {
    return withNetns(namespace, open);
  } finally {
    closeSync(namespace);
  }
}

async function connected(fd: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + connectTimeoutMs;
  while (!isWritable(fd)) {
    if (performance.now() > deadline) {
      throw new RuntimeError("deadline-exceeded", `no answer in ${connectTimeoutMs} ms`);
    }
    await sleep(connectPollMs, undefined, { signal });
  }
  const error = pendingError(fd, "connect");
  if (error !== undefined) throw error;
}
