import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newPodId, type PodId } from "../../src/core/ids.ts";
import type { Job } from "../../src/core/job.ts";
import {
  openPodNetworks,
  type NetworkedPod,
  type PodNetworks,
  type PodNetworksOptions,
} from "../../src/cni/index.ts";
import { openStore, type Store } from "../../src/store/index.ts";

/** A runtime with folders of its own, which can be closed and opened again as a restart does. */
export interface NetworkFixture extends AsyncDisposable {
  readonly folder: string;
  readonly confDir: string;
  readonly binDir: string;
  readonly dataDir: string;
  readonly warnings: string[];
  networks: PodNetworks;
  /** Closes and opens everything again. */
  restart(): Promise<void>;
  /** Writes a configuration and waits until it is loaded. */
  configure(network: object): Promise<void>;
  /** Writes an executable shell script as a plugin. */
  plugin(type: string, script: string): Promise<void>;
  /** The addresses that have a reservation. */
  reserved(network: string): Promise<string[]>;
}

/** Makes the folders and opens the runtime without a configuration. */
export async function makeFixture(
  environment: Record<string, string> = { PATH: process.env["PATH"] ?? "" },
  more: Partial<PodNetworksOptions> = {},
): Promise<NetworkFixture> {
  const folder = await mkdtemp(join(tmpdir(), "berth-cni-"));
  const [confDir, binDir, dataDir] = ["net.d", "bin", "data"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [confDir, binDir, dataDir]) await mkdir(path);
  const warnings: string[] = [];
  const open = async (): Promise<{ store: Store; networks: PodNetworks }> => {
    const store = await openStore(join(folder, "store"));
    const networks = await openPodNetworks({
      confDir,
      binDirs: [binDir],
      store,
      environment,
      onInfo: () => undefined,
      onWarning: (message) => warnings.push(message),
      ...more,
    });
    return { store, networks };
  };
  let opened = await open();
  const close = async (): Promise<void> => {
    await opened.networks[Symbol.asyncDispose]();
    await opened.store.close();
  };
  const fixture: NetworkFixture = {
    folder,
    confDir,
    binDir,
    dataDir,
    warnings,
    networks: opened.networks,
    restart: async () => {
      await close();
      opened = await open();
      fixture.networks = opened.networks;
    },
    configure: async (network) => {
      const text = JSON.stringify(network);
      await writeFile(join(confDir, "10-test.conflist"), text);
      await fixture.restart();
    },
    plugin: async (type, script) => {
      await writeFile(join(binDir, type), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    },
    reserved: async (network) => {
      const names = await readdir(join(dataDir, network));
      return names.filter((name) => name !== "lock" && !name.startsWith("last_reserved_ip")).sort();
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await rm(folder, { recursive: true });
    },
  };
  return fixture;
}

/** A configuration of the built-in bridge and host-local. */
export function bridgeNetwork(
  fixture: NetworkFixture,
  bridge: string,
  subnets: readonly string[],
  extra: object = {},
): { cniVersion: string; name: string; plugins: object[] } {
  return {
    cniVersion: "1.0.0",
    name: `net-${bridge}`,
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        isDefaultGateway: true,
        ...extra,
        ipam: {
          type: "host-local",
          ranges: subnets.map((subnet) => [{ subnet }]),
          dataDir: fixture.dataDir,
        },
      },
    ],
  };
}

/** A pod with nothing special. */
export function makePod(id: PodId = newPodId()): NetworkedPod {
  return { id, name: "web", namespace: "default", uid: randomBytes(4).toString("hex"), portMappings: [] };
}

/** A job that keeps its notes. */
export function makeJob(): Job & { readonly notes: string[]; readonly stages: string[] } {
  const notes: string[] = [];
  const stages: string[] = [];
  return {
    id: "test",
    signal: new AbortController().signal,
    notes,
    stages,
    stage: (name, work) => {
      stages.push(name);
      return work();
    },
    note: (text) => notes.push(text),
  };
}

/** A deadline far enough away for a noisy machine. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

/** The content of a file, or what reading it failed with. */
export function textOf(path: string): Promise<string> {
  return readFile(path, "utf8");
}
