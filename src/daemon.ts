import { readFileSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DeviceSpecs } from "./cdi/index.ts";
import { openPodNetworks } from "./cni/index.ts";
import type { Config } from "./config/index.ts";
import { increasing, systemClock } from "./core/clock.ts";
import type { Container } from "./core/container.ts";
import { RuntimeError } from "./core/errors.ts";
import type { Logger } from "./core/logger.ts";
import {
  createSandboxBackend,
  createServices,
  defaultStreamingOptions,
  refuseLiveSocket,
  serve,
  startStreamingServer,
} from "./cri/index.ts";
import {
  checkHost,
  chooseSnapshotter,
  missingNecessities,
  readBootId,
  readHostFacts,
  tryFeatures,
} from "./host/index.ts";
import { HookFiles } from "./hooks/index.ts";
import { openImages } from "./images/index.ts";
import {
  Archives,
  Containers,
  ContainerSpecs,
  describeDaemon,
  Images,
  Inspection,
  Inventory,
  LifecycleEvents,
  lockState,
  Pods,
  podCgroup,
  prepareState,
  recover,
  SeccompFilters,
  startMeasuring,
  startNetworkGarbage,
  StatePaths,
  StoreCare,
  Unclaimed,
} from "./sandbox/index.ts";
import { Launcher } from "./shim/client/index.ts";
import { JobJournal, openStore } from "./store/index.ts";
import { createSeccompCompiler } from "./sys/index.ts";

/** A daemon that serves until it is disposed of; its containers live on. */
export type Daemon = AsyncDisposable;

/**
 * Builds the daemon from its configuration, brings records and machine together, and serves. What was built is undone
 * in the opposite order, on failure at once.
 */
export async function startDaemon(config: Config, version: string, logger: Logger): Promise<Daemon> {
  await using undo = new AsyncDisposableStack();
  const host = checkHost(config.luajit);
  reportChecks(host.checks, logger);

  const paths = new StatePaths(config.state);
  // Nothing is made or changed before it is certain that nobody else works here.
  await refuseLiveSocket(config.socket);
  undo.use(await lockState(paths));
  await mkdir(config.root, { recursive: true, mode: 0o700 });
  const storeFolder = join(config.root, "store");
  await mkdir(storeFolder, { recursive: true, mode: 0o700 });
  await chmod(storeFolder, 0o700);
  const { snapshotter, check } = await chooseSnapshotter(config.snapshotter, config.root);
  reportChecks([check], logger);
  const store = undo.adopt(
    await openStore(storeFolder, (what) => {
      logger.error("the store is damaged", { what });
    }),
    (opened) => opened.close(),
  );
  await prepareState(paths);
  const inventory = undo.adopt(new Inventory(store), (known) => {
    known.letGo();
  });
  const clock = increasing(systemClock);
  const jobs = new JobJournal(store, clock);
  for (const job of await jobs.load())
    logger.warn("a job was cut off by the daemon's end", {
      job: job.id,
      kind: job.kind,
      subject: job.subject,
    });

  const launcher = await Launcher.ensure({
    runDir: config.state,
    luajit: config.luajit,
    bundle: join(import.meta.dirname, "shim/berth-shim.lua"),
  });
  undo.defer(() => launcher.letGo());
  launcher.keepShimReady();
  const imageStore = undo.adopt(
    await openImages({
      root: config.root,
      store,
      luajit: config.luajit,
      unpacker: join(import.meta.dirname, "shim/berth-unpack.lua"),
      insecureRegistries: config.insecureRegistries,
      certsDir: config.certsDir,
      ...(config.dockerConfig !== "" && { dockerConfig: config.dockerConfig }),
      ...(config.signaturePolicy !== "" && { signaturePolicy: config.signaturePolicy }),
      stallTimeoutMs: config.stallTimeoutMs,
      environment: process.env,
      pinned: config.pinnedImages,
      maxLayerBytes: config.maxLayerBytes,
      keepBlobs: config.keepBlobs,
      snapshotter,
      onDamaged: (what) => {
        logger.error("damaged image data is left out", { what });
      },
    }),
    (opened) => opened.close(),
  );
  const networks = undo.use(
    await openPodNetworks({
      confDir: config.cniConfDir,
      binDirs: config.cniBinDirs,
      additionalNetworks: config.cniAdditionalNetworks,
      store,
      environment: pluginEnvironment(),
      onInfo: (message) => {
        logger.info(message);
      },
      onWarning: (message) => {
        logger.warn(message);
      },
    }),
  );

  // After images and networks: jobs end first, while what they need is still there.
  undo.defer(() => jobs.close());
  const features = await tryFeatures(launcher, snapshotter, join(config.root, "layers"), paths.pins);
  for (const reason of features.missing) logger.warn("a feature is not offered", { reason });
  const facts = await readHostFacts(process.env);
  if (facts.lsm.apparmorProblem !== undefined) {
    const instead =
      "containers that ask for no AppArmor profile have none, those that ask for RuntimeDefault are refused";
    logger.warn("the default AppArmor profile is not loaded", { reason: facts.lsm.apparmorProblem, instead });
  }
  await inventory.load((what, reason) => {
    logger.error("a record is damaged and left out", { record: what, reason });
  });
  const cgroupOfContainer = (container: Container): string =>
    `${podCgroup(config.cgroupParent, inventory.pod(container.podId).record)}/${container.id}`;
  const events = new LifecycleEvents(clock);
  const deps = {
    events,
    inventory,
    launcher,
    networks,
    paths,
    jobs,
    logger,
    images: imageStore,
    clock,
    bootId: readBootId(),
    cgroups: facts.cgroups,
    cgroupParent: config.cgroupParent,
    cgroupOf: (entry: { readonly record: Container }) => cgroupOfContainer(entry.record),
    networkTimeoutMs: config.cniTimeoutMs,
    unclaimedTimeoutMs: config.unclaimedTimeoutMs,
    maxLogLineBytes: config.maxLogLineBytes,
    maxLogBytes: config.maxLogBytes,
    overlay: { volatile: host.overlayVolatile, lowerdirPlus: host.overlayLowerdirPlus },
    specs: new ContainerSpecs({
      images: imageStore,
      inventory,
      paths,
      host: facts,
      cgroupOf: cgroupOfContainer,
      devices: new DeviceSpecs(config.cdiSpecDirs),
      hooks: new HookFiles(config.hooksDirs),
    }),
    seccompFilters: new SeccompFilters({
      folder: paths.seccomp,
      defaultProfile: config.seccompProfile,
      compiler: createSeccompCompiler(),
    }),
  };
  await recover(deps);
  const unclaimed = undo.use(new Unclaimed(deps));
  unclaimed.resume();
  undo.use(startNetworkGarbage({ networks, jobs, logger }));

  const pods = new Pods({ ...deps, unclaimed });
  const containers = new Containers({ ...deps, unclaimed });
  const images = new Images(imageStore, jobs);
  const archives = new Archives({ images: imageStore, inventory, jobs });
  const measuring = undo.use(
    startMeasuring({
      inventory,
      events,
      images: imageStore,
      logger,
      cgroupOf: cgroupOfContainer,
      podCgroupOf: (pod) => podCgroup(config.cgroupParent, pod),
    }),
  );
  const health = {
    network: () => networks.status(),
    features: () => features,
    describe: () =>
      describeDaemon({
        config,
        version,
        bootId: deps.bootId,
        build: launcher.identity.build,
        checks: [...host.checks, check],
        pods,
        containers,
        images,
        jobs,
        clock,
      }),
  };
  const backend = createSandboxBackend(containers, pods);
  const streaming = undo.use(await startStreamingServer(defaultStreamingOptions, backend, logger));
  undo.use(
    await serve(
      { socket: config.socket, ...groupOf(config.socketGroup) },
      createServices({
        pods,
        containers,
        images,
        archives,
        storeCare: new StoreCare({ images: imageStore, inventory, jobs, layers: measuring.layers }),
        jobs,
        events,
        health,
        streaming,
        measuring,
        logger,
        inspection: new Inspection(deps),
        runtimeVersion: version,
      }),
    ),
  );
  logger.info("serving", { socket: config.socket, version, pods: pods.list({ id: "", labels: {} }).length });
  return undo.move();
}

function reportChecks(checks: ReturnType<typeof checkHost>["checks"], logger: Logger): void {
  for (const check of checks) {
    if (!check.ok && check.fallback !== null) {
      logger.warn("the host lacks something", {
        what: check.name,
        seen: check.detail,
        instead: check.fallback,
      });
    }
  }
  const missing = missingNecessities(checks);
  if (missing.length > 0) {
    const list = missing.map((check) => `${check.name} (${check.detail})`).join("; ");
    throw new RuntimeError("failed-precondition", `this host lacks what berthd needs: ${list}`);
  }
}

/** The daemon's own environment, as other runtimes hand it to plugins, but for what only it may answer. */
function pluginEnvironment(): Record<string, string> {
  const { NOTIFY_SOCKET: _notify, ...rest } = process.env;
  const named = Object.entries(rest).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...Object.fromEntries(named) };
}

/** group(5): the id of a group by name. */
function groupOf(name: string): { readonly groupId?: number } {
  if (name === "") return {};
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const id = Number(line?.split(":")[2]);
  if (!Number.isInteger(id))
    throw new RuntimeError("invalid-argument", `socket_group: no group ${name} in /etc/group`);
  return { groupId: id };
}
