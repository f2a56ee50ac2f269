import { discoverHierarchies } from "../../program/cgroup/index.ts";
import { failure } from "../../program/ffi/error.ts";
import { encode, jsonArray } from "../../program/json.ts";
import { listIds, tryReadRecord } from "../container/record.ts";
import type { FoundContainer } from "../container/status.ts";
import { describeContainer } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import { tableText } from "../table.ts";
import type { Command, Settings } from "../settings.ts";

/** `list [--format table|json] [--quiet]`: all containers of the root. */
export const list: Command = (settings, words) => {
  const options = parseOptions(words, {
    format: { kind: "value", short: "f" },
    quiet: { kind: "flag", short: "q" },
  });
  const found = allContainers(settings);
  const format = options.value("format") ?? "table";
  if (options.has("quiet")) {
    for (const { record } of found) print(record.id);
  } else if (format === "json") {
    print(encode(jsonArray(found.map((one) => documentOf(one)))));
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
