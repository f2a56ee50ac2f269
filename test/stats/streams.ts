import { credentials, type ClientReadableStream } from "@grpc/grpc-js";
import { loadServices } from "../../src/cri/definition.ts";
import type { ImageServiceClient } from "../../src/cri/types/runtime/v1/ImageService.ts";
import type { RuntimeServiceClient } from "../../src/cri/types/runtime/v1/RuntimeService.ts";
import type { TestDaemon } from "../harness/daemon.ts";

/** Clients whose streaming calls are those of grpc-js. */
export class StreamClients implements Disposable {
  readonly runtime: RuntimeServiceClient;
  readonly images: ImageServiceClient;

  constructor(daemon: TestDaemon) {
    const { v1 } = loadServices().runtime;
    const target = `unix:${daemon.socket}`;
    this.runtime = new v1.RuntimeService(target, credentials.createInsecure());
    this.images = new v1.ImageService(target, credentials.createInsecure());
  }

  [Symbol.dispose](): void {
    this.runtime.close();
    this.images.close();
  }
}

/** All parts of a streamed list. */
export async function partsOf<T>(call: ClientReadableStream<T>): Promise<T[]> {
  const parts: T[] = [];
  for await (const part of call as AsyncIterable<T>) parts.push(part);
  return parts;
}
