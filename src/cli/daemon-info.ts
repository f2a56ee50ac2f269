import { RuntimeError } from "../core/errors.ts";
import type { Client } from "./client.ts";

/** The daemon's description, as far as this command reads it; api/berth/v1/admin.proto names the keys. */
export interface DaemonInfo {
  readonly version: string;
  readonly node_version: string;
  readonly build_id: string;
  readonly boot_id: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly kernel_checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly fallback: string | null;
  }[];
  readonly paths: Readonly<Record<string, string>> & { readonly root: string };
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>> | number>>;
}

/** Asks the daemon to describe itself. */
export async function readInfo(client: Client): Promise<DaemonInfo> {
  const { json } = await client.admin.Info({});
  const info = JSON.parse(json) as DaemonInfo;
  if (typeof info.paths.root !== "string") {
    throw new RuntimeError("internal", "the daemon's description lacks paths.root");
  }
  return info;
}
