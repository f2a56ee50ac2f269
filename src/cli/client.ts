import { once } from "node:events";
import { connect } from "node:net";
import {
  credentials,
  Client as GrpcClient,
  Metadata,
  type ClientDuplexStream,
  type ClientWritableStream,
  type ServiceError,
} from "@grpc/grpc-js";
import { RuntimeError } from "../core/errors.ts";
import { maxGrpcMessageBytes } from "../core/limits.ts";
import { unixAddress, type UnixAddress } from "../core/unix-address.ts";
import { loadServices, runtimeErrorFrom } from "../cri/client.ts";
import type { AdminDefinition } from "../cri/types/berth/v1/Admin.ts";
import type { ArchivePiece__Output } from "../cri/types/berth/v1/ArchivePiece.ts";
import type { ExportContainerRequest } from "../cri/types/berth/v1/ExportContainerRequest.ts";
import type { ImportRootfsRequest } from "../cri/types/berth/v1/ImportRootfsRequest.ts";
import type { SaveImagesRequest } from "../cri/types/berth/v1/SaveImagesRequest.ts";
import type { ExecFrame, ExecFrame__Output } from "../cri/types/berth/v1/ExecFrame.ts";
import type { ImportImageRequest } from "../cri/types/berth/v1/ImportImageRequest.ts";
import type { ImportImageResponse__Output } from "../cri/types/berth/v1/ImportImageResponse.ts";
import type { ImageServiceDefinition } from "../cri/types/runtime/v1/ImageService.ts";
import type { RuntimeServiceDefinition } from "../cri/types/runtime/v1/RuntimeService.ts";

/** Ends a wait: a deadline, the caller's signal, or both. */
export interface CallOptions {
  /** Milliseconds; {@link defaultDeadlineMs} where absent, Infinity for none. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** How long a call may take that says nothing else; the kubelet has the same. */
export const defaultDeadlineMs = 120_000;

/** How long a look at a silent socket takes at most. */
const probeMs = 2_000;

/** The names of a service's methods, without those that its index signature adds. */
type MethodName<Definition> = keyof {
  [Name in keyof Definition as string extends Name ? never : number extends Name ? never : Name]: true;
};

type Request<M> = M extends { requestSerialize: (value: infer Value) => Buffer } ? Value : never;
type Response<M> = M extends { responseDeserialize: (bytes: Buffer) => infer Value } ? Value : never;

/** The unary calls of a service, by the names of the contract; each throws a RuntimeError. */
export type Calls<Definition> = {
  readonly [Name in MethodName<Definition>]: (
    request: Request<Definition[Name]>,
    options?: CallOptions,
  ) => Promise<Response<Definition[Name]>>;
};

/** Everything that the daemon offers on its socket. */
export interface Client extends Disposable {
  readonly socket: string;
  readonly runtime: Calls<RuntimeServiceDefinition>;
  readonly image: Calls<ImageServiceDefinition>;
  readonly admin: Calls<
    Pick<
      AdminDefinition,
      | "Info"
      | "ListJobs"
      | "ImageFromHost"
      | "CommitContainer"
      | "TagImage"
      | "PushImage"
      | "SearchRegistry"
      | "DiskUsage"
      | "CollectGarbage"
      | "CheckStore"
    >
  >;
  /** Sends an archive piece by piece. */
  importImage(
    pieces: AsyncIterable<ImportImageRequest>,
    signal: AbortSignal,
  ): Promise<ImportImageResponse__Output>;
  /** Sends the archive of a root file system piece by piece. */
  importRootfs(
    pieces: AsyncIterable<ImportRootfsRequest>,
    signal: AbortSignal,
  ): Promise<ImportImageResponse__Output>;
  /** Receives an archive of images, or of a container's tree, piece by piece; throws a RuntimeError where it breaks off. */
  receive(request: ArchiveRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Opens a command's streams; its error event carries a ServiceError, see {@link Client.explain}. */
  containerExec(signal: AbortSignal): ClientDuplexStream<ExecFrame, ExecFrame__Output>;
  /** Turns what a call failed with into an error for people; says why a daemon does not answer. */
  explain(thrown: unknown): Promise<RuntimeError>;
}

/** An archive to ask for. */
export type ArchiveRequest =
  | { readonly method: "SaveImages"; readonly request: SaveImagesRequest }
  | { readonly method: "ExportContainer"; readonly request: ExportContainerRequest };

/** A client of the daemon at `socket`; it connects with the first call. `unavailable` where its folder is missing. */
export function openClient(socket: string): Client {
  const services = loadServices();
  const short = addressOf(socket);
  const grpc = new GrpcClient(`unix:${short.address}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": maxGrpcMessageBytes,
    "grpc.max_send_message_length": maxGrpcMessageBytes,
  });
  const explain = async (thrown: unknown): Promise<RuntimeError> => {
    const error = runtimeErrorFrom(thrown);
    return error.code === "unavailable" ? await explainSilence(socket, short.address, error) : error;
  };
  const admin = services.berth.v1.Admin.service;
  return {
    socket,
    runtime: unaryCalls<RuntimeServiceDefinition>(grpc, services.runtime.v1.RuntimeService.service, explain),
    image: unaryCalls<ImageServiceDefinition>(grpc, services.runtime.v1.ImageService.service, explain),
    admin: unaryCalls<AdminDefinition>(grpc, admin, explain),
    importImage: (pieces, signal) => upload(grpc, admin.ImportImage, pieces, signal, explain),
    importRootfs: (pieces, signal) => upload(grpc, admin.ImportRootfs, pieces, signal, explain),
    receive: async function* ({ method, request }, signal) {
      const { path, requestSerialize, responseDeserialize } = admin[method] as ServerStreamShape;
      const call = grpc.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
      cancelOnAbort(call, signal);
      try {
        for await (const { data } of call as AsyncIterable<ArchivePiece__Output>) yield data;
      } catch (thrown) {
        throw await explain(thrown);
      } finally {
        call.cancel();
      }
    },
    containerExec: (signal) => {
      const { path, requestSerialize, responseDeserialize } = admin.ContainerExec;
      const call = grpc.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      cancelOnAbort(call, signal);
      return call;
    },
    explain,
    [Symbol.dispose]: () => {
      grpc.close();
      short[Symbol.dispose]();
    },
  };
}

function addressOf(socket: string): UnixAddress {
  try {
    return unixAddress(socket);
  } catch (thrown) {
    const { code = "", message } = thrown as NodeJS.ErrnoException;
    throw noDaemon(socket, silenceByErrno[code] ?? message, thrown);
  }
}

interface ServerStreamShape {
  readonly path: string;
  readonly requestSerialize: (value: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => ArchivePiece__Output;
}

/** Calls a method that takes a stream. */
function upload<Piece, Answer>(
  grpc: GrpcClient,
  method: MethodDefinition<Piece, Answer>,
  pieces: AsyncIterable<Piece>,
  signal: AbortSignal,
  explain: (thrown: unknown) => Promise<RuntimeError>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = method;
    const call = grpc.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      (error, response) => {
        if (error !== null) void explain(error).then(reject);
        else if (response !== undefined) resolve(response);
      },
    );
    cancelOnAbort(call, signal);
    sendAll(call, pieces).catch((thrown: unknown) => {
      call.cancel();
      reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
    });
  });
}

interface MethodDefinition<Piece, Answer> {
  readonly path: string;
  readonly requestSerialize: (value: Piece) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Answer;
}

interface MethodShape {
  readonly path: string;
  readonly requestSerialize: (value: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

function unaryCalls<Definition>(
  grpc: GrpcClient,
  service: object,
  explain: (thrown: unknown) => Promise<RuntimeError>,
): Calls<Definition> {
  const calls = Object.entries(service as Readonly<Record<string, MethodShape>>).map(([name, method]) => {
    const call = (request: never, options: CallOptions = {}): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { deadlineMs = defaultDeadlineMs, signal } = options;
        const deadline = deadlineMs === Infinity ? Infinity : Date.now() + deadlineMs;
        const { path, requestSerialize, responseDeserialize } = method;
        const done = (error: ServiceError | null, response?: unknown): void => {
          if (error === null) resolve(response);
          else void explain(error).then(reject);
        };
        const pending = grpc.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          new Metadata(),
          { deadline },
          done,
        );
        if (signal !== undefined) cancelOnAbort(pending, signal);
      });
    return [name, call] as const;
  });
  return Object.fromEntries(calls) as unknown as Calls<Definition>;
}

function cancelOnAbort(call: { cancel(): void }, signal: AbortSignal): void {
  if (signal.aborted) call.cancel();
  else {
    signal.addEventListener("abort", () => {
      call.cancel();
    });
  }
}

/** Sends every piece at the pace at which the daemon takes them; stops quietly when the call has ended. */
async function sendAll<Piece>(
  call: ClientWritableStream<Piece>,
  pieces: AsyncIterable<Piece>,
): Promise<void> {
  const ended = new AbortController();
  call.on("status", () => {
    ended.abort();
  });
  for await (const piece of pieces) {
    if (ended.signal.aborted) return;
    if (!call.write(piece)) await once(call, "drain", { signal: ended.signal }).catch(() => undefined);
  }
  call.end();
}

/** gRPC says little about a socket that nobody serves; a look at it says which of the four reasons it is. */
async function explainSilence(socket: string, address: string, error: RuntimeError): Promise<RuntimeError> {
  const reason = await new Promise<string | undefined>((resolve) => {
    const probe = connect(address);
    probe.setTimeout(probeMs, () => {
      probe.destroy();
      resolve("it does not answer");
    });
    probe.once("connect", () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once("error", (cause: NodeJS.ErrnoException) => {
      resolve(silenceByErrno[cause.code ?? ""] ?? cause.message);
    });
  });
  return reason === undefined ? error : noDaemon(socket, reason, error);
}

function noDaemon(socket: string, reason: string, cause: unknown): RuntimeError {
  return new RuntimeError("unavailable", `no daemon at ${socket}: ${reason}`, { cause });
}

const silenceByErrno: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket; is berthd running, and with this --socket?",
  ECONNREFUSED: "nobody listens on it; berthd has ended without removing it",
  EACCES: "you may not open it; be root or in the daemon's socket_group",
  ENOTSOCK: "it is not a socket",
};
