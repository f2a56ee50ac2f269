import { discoverHierarchies } from "../../program/cgroup/index.ts";
import { createContainer } from "../container/create.ts";
import { deleteContainer } from "../container/delete.ts";
import { startContainer } from "../container/start.ts";
import { describeContainer } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";
import { attendProcess } from "../terminal/attend.ts";
import { createOptions, createWish } from "./create.ts";

/** `run [options] ID`: create and start; unless detached, it also waits, passes signals on, and deletes. */
export const run: Command = (settings, words) => {
  const options = parseOptions(words, {
    ...createOptions,
    detach: { kind: "flag", short: "d" },
    keep: { kind: "flag" },
  });
  const detached = options.has("detach");
  const { record, master } = createContainer(settings, createWish(options, detached ? "no" : "yes"));
  const removeIt = (): void => {
    deleteContainer(settings, describeContainer(settings, record, discoverHierarchies()));
  };
  const [ok, result] = pcall(() => {
    const begin = (): void => {
      startContainer(settings, record);
    };
    if (!detached) return attendProcess(record.init.pid, master, begin);
    begin();
    return 0;
  });
  if (!ok) {
    pcall(removeIt);
    throw result as unknown;
  }
  if (!detached && !options.has("keep")) removeIt();
  return result;
};
