import type { Client, ClientUnaryCall, ServiceError } from "@grpc/grpc-js";

type Callback<Response> = (error: ServiceError | null, response?: Response) => void;

/** How long a caller waits: until the deadline, 60 s unless told, or until it takes its call back. */
export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The unary calls of a generated client, by name, as functions that return promises. */
export type Promised<C> = {
  readonly [K in keyof C as K extends Capitalize<string & K> ? K : never]: C[K] extends {
    (request: infer Request, callback: Callback<infer Response>): unknown;
  }
    ? (request: Request, options?: CallOptions) => Promise<Response>
    : never;
};

/** Wraps a client; every call has a deadline. */
export function promises<C extends Client>(client: C): Promised<C> {
  return new Proxy({} as Promised<C>, {
    get:
      (_target, name: string) =>
      (request: unknown, options: CallOptions = {}) =>
        new Promise((resolve, reject) => {
          const call = (client as unknown as Record<string, (...args: unknown[]) => unknown>)[name];
          const deadline = Date.now() + (options.timeoutMs ?? 60_000);
          const settle: Callback<unknown> = (error, response) => {
            if (error === null) resolve(response);
            else reject(error);
          };
          const sent = call?.call(client, request, { deadline }, settle) as ClientUnaryCall | undefined;
          options.signal?.addEventListener("abort", () => sent?.cancel(), { once: true });
        }),
  });
}
