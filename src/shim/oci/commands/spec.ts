import { discoverHierarchies } from "../../program/cgroup/index.ts";
import { AT, O } from "../../program/ffi/constants.ts";
import { failure } from "../../program/ffi/error.ts";
import { close, open, tryStatx, writeAll } from "../../program/ffi/files.ts";
import { parseOptions } from "../options.ts";
import { prettyJson } from "../pretty.ts";
import type { Command } from "../settings.ts";
import { defaultSpec, fieldOrder } from "../default-spec.ts";

const fileMode = 0o666;

/** `spec [--bundle FOLDER]`: a config.json to start from. */
export const spec: Command = (_settings, words) => {
  const options = parseOptions(words, {
    bundle: { kind: "value", short: "b" },
    rootless: { kind: "flag" },
  });
  if (options.has("rootless")) {
    throw failure("failed-precondition", "spec --rootless: containers without root are not supported");
  }
  const bundle = options.value("bundle") ?? ".";
  const path = `${bundle}/config.json`;
  if (tryStatx(AT.FDCWD, path, 0) !== undefined) {
    throw failure("failed-precondition", `file ${path} exists. Remove it first`);
  }
  const fd = open(path, O.WRONLY | O.CREAT | O.EXCL, fileMode);
  writeAll(fd, prettyJson(defaultSpec(discoverHierarchies()), fieldOrder), path);
  close(fd);
  return 0;
};
