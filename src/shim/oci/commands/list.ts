import { discoverHierarchies } from "../../program/cgroup/index.ts";
import { AT } from "../../program/ffi/constants.ts";
import { tryStatx } from "../../program/ffi/files.ts";
import { failure } from "../../program/ffi/error.ts";
import { jsonArray } from "../../program/json.ts";
import { listIds, tryReadRecord } from "../container/record.ts";
import type { FoundContainer } from "../container/status.ts";
import { describeContainer, stateFields } from "../container/status.ts";
import { orderedJson } from "../pretty.ts";
import { parseOptions } from "../options.ts";
import { tableText } from "../table.ts";
import type { Command, Settings } from "../settings.ts";

/** `list [--format table|json] [--quiet]`: all containers of the root. */
export const list: Command = (settings, words) => {
  const options = parseOptions(words, {
    format: { kind: "value", short: "f" },
    quiet: { kind: "flag", short: "q" },
  });
  // A root that was never used is empty; one that was named wrong is a mistake.
  if (settings.rootIsNamed && tryStatx(AT.FDCWD, settings.root, 0) === undefined) {
    throw failure("not-found", `--root ${settings.root}: no such file or directory`);
  }
  const found = allContainers(settings);
  const format = options.value("format") ?? "table";
  if (options.has("quiet")) {
    for (const { record } of found) print(record.id);
  } else if (format === "json") {
    print(orderedJson(jsonArray(found.map((one) => documentOf(one))), stateFields));
  } else if (format === "table") {
    io.write(
      tableText([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], ...found.map((one) => rowOf(one))]),
    );
  } else {
    throw failure("invalid-argument", "invalid format option");
  }
  return 0;
};

function allContainers(settings: Settings): FoundContainer[] {
  const hierarchies = discoverHierarchies();
  const found: FoundContainer[] = [];
  for (const id of listIds(settings.root)) {
    const record = tryReadRecord(settings.root, id);
    if (record !== undefined) found.push(describeContainer(settings, record, hierarchies));
  }
  return found;
}

function documentOf({ record, status }: FoundContainer): object {
  const { id, bundle, rootfs, created, annotations, init } = record;
  const pid = status === "stopped" ? 0 : init.pid;
  return {
    ociVersion: init.ociVersion,
    id,
    pid,
    status,
    bundle,
    rootfs,
    created,
    annotations,
    owner: "root",
  };
}

function rowOf({ record, status }: FoundContainer): string[] {
  const pid = status === "stopped" ? 0 : record.init.pid;
  return [record.id, string.format("%d", pid), status, record.bundle, record.created, "root"];
}
