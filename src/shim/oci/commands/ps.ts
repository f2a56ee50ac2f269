import { failure } from "../../program/ffi/error.ts";
import { encode, jsonArray } from "../../program/json.ts";
import { findContainer } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** `ps [--format table|json] ID [options of ps]`: the container's processes. */
export const ps: Command = (settings, words) => {
  const options = parseOptions(words, { format: { kind: "value", short: "f" } }, "another");
  const container = findContainer(settings, options.rest[0]);
  const pids = container.cgroup.pids();
  const format = options.value("format") ?? "table";
  if (format === "json") {
    print(encode(jsonArray(pids)));
    return 0;
  }
  if (format !== "table") throw failure("invalid-argument", "invalid format option");
  const args = options.rest.slice(1);
  const lines = outputOf(`ps ${(args.length === 0 ? ["-ef"] : args).map((word) => quoted(word)).join(" ")}`);
  io.write(linesOf(lines, pids));
  return 0;
};

function outputOf(command: string): string[] {
  const [pipe] = io.popen(command, "r");
  if (pipe === undefined) throw failure("failed-precondition", "ps: cannot be started");
  const lines: string[] = [];
  for (const [line] of pipe.lines()) lines.push(line);
  pipe.close();
  return lines;
}

/** The heading, and the lines whose PID is one of the container's. */
function linesOf(lines: readonly string[], pids: readonly number[]): string {
  const heading = lines[0] ?? "";
  const column = wordsOf(heading).indexOf("PID");
  if (column < 0) throw failure("failed-precondition", "ps: couldn't find PID field in its output");
  const own = lines.filter((line, index) => {
    if (index === 0) return true;
    const pid = tonumber(wordsOf(line)[column]);
    return pid !== undefined && pids.includes(pid);
  });
  return own.map((line) => `${line}\n`).join("");
}

function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [word] of string.gmatch(line, "%S+")) words.push(word ?? "");
  return words;
}

/** For sh: nothing of it is interpreted. */
function quoted(word: string): string {
  return `'${string.gsub(word, "'", "'\\''")[0]}'`;
}
