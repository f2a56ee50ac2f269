import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { withNetns } from "../../sys/index.ts";
import { findLink } from "../bridge/device.ts";
import { IFF_ALLMULTI, IFF_PROMISC, setLink, type Link, type LinkSettings } from "../netlink/link.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import { emptyResult, type CniResult } from "../result.ts";
import { allowListFile, requireAllowed } from "../tuning/allow-list.ts";
import { backupOf, readBackup, removeBackup, writeBackup, type LinkBackup } from "../tuning/backup.ts";
import { readTuningConf, sysctlFile, tuningDataDir, type TuningConf } from "../tuning/conf.ts";
import { requireNamespace } from "./loopback.ts";

/**
 * Sets kernel parameters of a pod's network and properties of its interface: the reference plugin's keys and results.
 * DEL gives the interface back what it had, for it may outlive the pod (host-device).
 *
 * @see https://www.cni.dev/plugins/current/meta/tuning/
 */
export function tuningPlugin(): Plugin {
  return {
    type: "tuning",
    add: async (call) => {
      const conf = readTuningConf(call);
      const previous = requirePrevious(call, conf);
      const namespace = requireNamespace(call);
      const keys = conf.sysctls.map(([key]) => key);
      await requireAllowed(keys, allowListFile);
      const files = conf.sysctls.map(([key, value]) => [sysctlFile(key, call.ifname), value] as const);
      if (Object.keys(conf.link).length > 0) await tuneLink(call, conf, namespace);
      for (const [file, value] of files) writeParameter(namespace, file, value, conf.network);
      return withMac(previous, call.ifname, conf.link.mac);
    },
    del: async (call) => {
      const path = backupPath(call);
      const backup = await readBackup(path);
      if (backup !== undefined && call.namespace !== undefined)
        await restore(call.namespace, call.ifname, backup);
      await removeBackup(path);
    },
    check: async (call) => {
      const conf = readTuningConf(call);
      requirePrevious(call, conf);
      const namespace = requireNamespace(call);
      for (const [key, value] of conf.sysctls) {
        const present = readParameter(namespace, sysctlFile(key, call.ifname));
        if (present !== value) throw differs(conf, key, present, value);
      }
      checkLink(conf, await requireLink(namespace, call.ifname));
    },
    gc: () => Promise.resolve(),
  };
}

async function tuneLink(call: PluginCall, conf: TuningConf, namespace: PodNamespace): Promise<void> {
  const link = await requireLink(namespace, call.ifname);
  await writeBackup(backupPath(call), backupOf(link, conf.link));
  await namespace.rtnetlink.execute(`${call.ifname} in ${namespace.path}`, [
    setLink(link.index, settingsOf(conf.link)),
  ]);
}

async function restore(namespace: PodNamespace, ifname: string, backup: LinkBackup): Promise<void> {
  const link = await findLink(namespace.rtnetlink, ifname);
  if (link === undefined) return;
  await namespace.rtnetlink.execute(`${ifname} in ${namespace.path}`, [
    setLink(link.index, settingsOf(backup)),
  ]);
}

/** Only the flags that are meant are touched. */
function settingsOf({ mac, mtu, txQLen, promisc, allmulti }: LinkBackup): LinkSettings {
  const flag = (value: boolean | undefined, bit: number): number => (value === true ? bit : 0);
  const mask = (value: boolean | undefined, bit: number): number => (value === undefined ? 0 : bit);
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(txQLen === undefined ? {} : { queueLength: txQLen }),
    flags: flag(promisc, IFF_PROMISC) | flag(allmulti, IFF_ALLMULTI),
    flagsMask: mask(promisc, IFF_PROMISC) | mask(allmulti, IFF_ALLMULTI),
  };
}

function checkLink(conf: TuningConf, link: Link): void {
  const { mac, mtu, promisc, allmulti, txQLen } = conf.link;
  const expectations = [
    ["mac", mac, link.mac],
    ["mtu", mtu, link.mtu],
    ["promisc", promisc ?? false, (link.flags & IFF_PROMISC) !== 0],
    ["allmulti", allmulti, (link.flags & IFF_ALLMULTI) !== 0],
    ["txQLen", txQLen, link.queueLength],
  ] as const;
  for (const [name, wanted, present] of expectations) {
    if (wanted !== undefined && wanted !== present)
      throw differs(conf, name, String(present), String(wanted));
  }
}

function requirePrevious(call: PluginCall, conf: TuningConf): CniResult {
  if (call.prevResult !== undefined) return call.prevResult;
  throw new RuntimeError(
    "invalid-argument",
    `network ${conf.network}: tuning: it must follow another plugin`,
  );
}

function withMac(result: CniResult, ifname: string, mac: string | undefined): CniResult {
  if (mac === undefined) return result;
  const interfaces = result.interfaces.map((one) => (one.name === ifname ? { ...one, mac } : one));
  return { ...emptyResult, ...result, interfaces };
}

async function requireLink(namespace: PodNamespace, ifname: string): Promise<Link> {
  const link = await findLink(namespace.rtnetlink, ifname);
  if (link !== undefined) return link;
  throw new RuntimeError("failed-precondition", `${namespace.path} has no link ${ifname}`);
}

function writeParameter(namespace: PodNamespace, file: string, value: string, network: string): void {
  try {
    withNetns(namespace.fd, () => {
      writeFileSync(join("/proc/sys/net", file), value);
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RuntimeError("invalid-argument", `network ${network}: tuning: sysctl net/${file}: ${reason}`, {
      cause: error,
    });
  }
}

/** The value as sysctl(8) shows it. */
function readParameter(namespace: PodNamespace, file: string): string {
  return withNetns(namespace.fd, () => readFileSync(join("/proc/sys/net", file), "utf8")).replace(/\n$/, "");
}

function differs(conf: TuningConf, name: string, present: string, wanted: string): RuntimeError {
  return new RuntimeError(
    "failed-precondition",
    `network ${conf.network}: tuning: ${name} is ${present}, not ${wanted}`,
  );
}

/** The reference plugin's name for it; an id or interface that is no plain name has none of its own. */
function backupPath(call: PluginCall): string {
  return join(tuningDataDir(call.conf), basename(`${call.containerId}_${call.ifname}.json`));
}
