import type { RuntimeCondition__Output } from "../../cri/types/runtime/v1/RuntimeCondition.ts";
import { defineCommand } from "../command.ts";
import { readInfo, type DaemonInfo } from "../daemon-info.ts";
import { print } from "../print.ts";
import { fields } from "../table.ts";

export const info = defineCommand({
  name: "info",
  usage: "",
  summary: "Describe the daemon: is it ready, what it found here, where its files lie.",
  options: { all: { kind: "flag", short: "a", doc: "Also checks that found nothing missing." } },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const [description, { status }] = await Promise.all([
      readInfo(context.client),
      context.client.runtime.Status({}),
    ]);
    const conditions = status?.conditions ?? [];
    print(context, { ...description, conditions }, () => describe(description, conditions, options.all));
    return 0;
  },
});

function describe(info: DaemonInfo, conditions: readonly RuntimeCondition__Output[], all: boolean): string {
  const checks = info.kernel_checks.filter((check) => all || !check.ok);
  return [
    fields([
      ["version", `${info.version} (Node ${info.node_version}, build ${info.build_id.slice(0, 12)})`],
      ...conditions.map(({ type, status, reason, message }) => {
        const why = [reason, message].filter((text) => text !== "").join(": ");
        return [type, status ? "yes" : `no (${why})`] as const;
      }),
      ...Object.entries(info.counts).map(([what, counts]) => [what, count(counts)] as const),
    ]),
    section("files", fields(Object.entries(info.paths), "  ")),
    section(
      all ? "host" : "host lacks",
      checks
        .map(({ name, ok, detail, fallback }) =>
          [
            `  ${ok ? "ok" : "--"}  ${name}: ${detail}`,
            ...(ok ? [] : [`      instead: ${fallback ?? "nothing"}`]),
          ].join("\n"),
        )
        .join("\n"),
    ),
    section(
      "configuration",
      fields(
        Object.entries(info.config).map(([name, value]) => [
          name,
          typeof value === "string" ? value : JSON.stringify(value),
        ]),
        "  ",
      ),
    ),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function section(title: string, body: string): string {
  return body === "" ? "" : `${title}\n${body}`;
}

function count(counts: number | Readonly<Record<string, number>>): string {
  if (typeof counts === "number") return String(counts);
  const parts = Object.entries(counts).map(([state, number]) => `${number} ${state}`);
  return parts.length === 0 ? "0" : parts.join(", ");
}
