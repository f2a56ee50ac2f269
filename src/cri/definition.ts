import { join } from "node:path";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync, type Options } from "@grpc/proto-loader";
import type { ProtoGrpcType as AdminTypes } from "./types/admin.ts";
import type { ProtoGrpcType as RuntimeTypes } from "./types/api.ts";

/** How messages look in this project: names as in the contract, int64 as text until it is range-checked. */
const options: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

/** Both sides of the socket: the CRI's two services and Berth's own. */
export function loadServices(): RuntimeTypes & AdminTypes {
  const api = join(import.meta.dirname, "../../api");
  const definition = loadSync(
    [join(api, "runtime/v1/api.proto"), join(api, "berth/v1/admin.proto")],
    options,
  );
  return loadPackageDefinition(definition) as unknown as RuntimeTypes & AdminTypes;
}
