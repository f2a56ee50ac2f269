/** A thread that asks a daemon for whole lists again and again and measures how long each takes. */
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Client, credentials } from "@grpc/grpc-js";

/** Where to ask and for how long. */
export interface SamplerRequest {
  readonly socket: string;
  readonly durationMs: number;
}

/** Milliseconds from the call to the last byte of its answer; taking the list apart is not the runtime's time. */
export type ListSamples = Readonly<Record<ListMethod, readonly number[]>>;

/** Calls that list everything when they are sent an empty message. */
type ListMethod = "ListContainers" | "ListPodSandbox";

const pauseMs = 20;

const { socket, durationMs } = workerData as SamplerRequest;
const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
});
const samples = { ListContainers: [] as number[], ListPodSandbox: [] as number[] };
// The first call makes the connection.
await list("ListContainers");
const until = performance.now() + durationMs;
while (performance.now() < until) {
  for (const method of ["ListContainers", "ListPodSandbox"] as const) {
    const started = performance.now();
    await list(method);
    samples[method].push(performance.now() - started);
  }
  await sleep(pauseMs);
}
client.close();
parentPort?.postMessage(samples satisfies ListSamples);

function list(method: ListMethod): Promise<void> {
  const asIs = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(`/runtime.v1.RuntimeService/${method}`, asIs, asIs, Buffer.alloc(0), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
