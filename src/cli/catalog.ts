import type { Command } from "./command.ts";
import { cni } from "./commands/cni.ts";
import { commit } from "./commands/commit.ts";
import { du } from "./commands/du.ts";
import { exec } from "./commands/exec.ts";
import { exportContainer } from "./commands/export.ts";
import { fsck } from "./commands/fsck.ts";
import { gc } from "./commands/gc.ts";
import { imageFromHost } from "./commands/image-from-host.ts";
import { images } from "./commands/images.ts";
import { importImage } from "./commands/import.ts";
import { info } from "./commands/info.ts";
import { inspect } from "./commands/inspect.ts";
import { jobs } from "./commands/jobs.ts";
import { logs } from "./commands/logs.ts";
import { pods } from "./commands/pods.ts";
import { ps } from "./commands/ps.ts";
import { pull } from "./commands/pull.ts";
import { push } from "./commands/push.ts";
import { rm } from "./commands/rm.ts";
import { rmi } from "./commands/rmi.ts";
import { rmp } from "./commands/rmp.ts";
import { run } from "./commands/run.ts";
import { save } from "./commands/save.ts";
import { search } from "./commands/search.ts";
import { stop } from "./commands/stop.ts";
import { tag } from "./commands/tag.ts";
import { version } from "./commands/version.ts";

/** Every command, in the order that help shows. */
export const catalog: readonly { readonly title: string; readonly commands: readonly Command[] }[] = [
  { title: "The daemon", commands: [info, jobs, version] },
  { title: "Pods and containers", commands: [pods, ps, run, logs, exec, inspect, stop, rm, rmp] },
  {
    title: "Images",
    commands: [
      images,
      pull,
      push,
      tag,
      search,
      importImage,
      imageFromHost,
      save,
      commit,
      exportContainer,
      rmi,
      du,
      gc,
      fsck,
    ],
  },
  { title: "Networks", commands: [cni] },
];

/** Every command by its name. */
export const commandsByName: ReadonlyMap<string, Command> = new Map(
  catalog.flatMap(({ commands }) => commands.map((command) => [command.name, command] as const)),
);
