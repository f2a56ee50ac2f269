import { failure } from "../../program/failure.ts";
import { close } from "../../program/ffi/files.ts";
import { createContainer } from "../container/create.ts";
import type { CreateWish } from "../container/create.ts";
import { parseId } from "../container/record.ts";
import type { OptionShapes, Options } from "../options.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** What `create` and `run` both take. */
export const createOptions: OptionShapes = {
  bundle: { kind: "value", short: "b" },
  "console-socket": { kind: "value" },
  "pid-file": { kind: "value" },
  "preserve-fds": { kind: "value" },
  "no-pivot": { kind: "flag" },
  "no-new-keyring": { kind: "flag" },
  "no-subreaper": { kind: "flag" },
};

/** What options of `create` and `run` come to. */
export function createWish(options: Options, stays: "yes" | "no"): CreateWish {
  if (options.has("no-pivot")) {
    throw failure("failed-precondition", "--no-pivot: not supported: the host's mounts would stay in reach");
  }
  return {
    id: parseId(options.rest[0]),
    bundle: options.value("bundle") ?? "",
    pidFile: options.value("pid-file"),
    terminal: { socket: options.value("console-socket"), stays },
    preservedFds: options.number("preserve-fds") ?? 0,
    keyring: options.has("no-new-keyring") ? "inherited" : "new",
  };
}

/** `create [options] ID`: all but the command, which `start` lets go on. */
export const create: Command = (settings, words) => {
  const options = parseOptions(words, createOptions);
  const { master } = createContainer(settings, createWish(options, "no"));
  if (master !== undefined) close(master);
  return 0;
};
