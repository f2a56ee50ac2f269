import type { CheckStoreResponse__Output } from "../../cri/types/berth/v1/CheckStoreResponse.ts";
import type { Finding__Output } from "../../cri/types/berth/v1/Finding.ts";
import { defineCommand } from "../command.ts";
import { print } from "../print.ts";
import { printable } from "../table.ts";

/** As fsck(8) has it: all is well now, though something was mended. */
const repairedCode = 1;
/** Something is still damaged. */
const damagedCode = 4;

export const fsck = defineCommand({
  name: "fsck",
  usage: "",
  summary: "Verify images and layers on disk, and fetch again what is damaged.",
  details: [
    "Manifests, configs and kept blobs are compared with their digests, layers with what was noted when they were " +
      "unpacked: names, owners, modes, sizes and times. --content unpacks every layer once more and compares what its files hold, " +
      "which takes as long as pulling all images again.",
    "The exit code is 0 where all is well, 1 where something was damaged and all of it was repaired, 4 where damage is left. Nothing " +
      "is ever removed for being damaged: a container keeps the layer that it was made of, new ones get the repaired one.",
  ],
  options: {
    repair: { kind: "flag", doc: "Fetch what is damaged again, by its digest." },
    content: { kind: "flag", doc: "Compare the content of files as well." },
  },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const report = await context.client.admin.CheckStore(options, {
      deadlineMs: Infinity,
      signal: context.signal,
    });
    print(context, report, text);
    return exitCode(report.findings);
  },
});

function text({ images, layers, blobs, findings }: CheckStoreResponse__Output): string {
  return [
    ...findings.map(line),
    `${images} images, ${layers} layers and ${blobs} kept blobs: ${summary(findings)}`,
  ].join("\n");
}

function line({ kind, subject, problem, images, repair, reason }: Finding__Output): string {
  const of = images.length === 0 ? "" : ` of ${images.join(", ")}`;
  const outcome =
    repair === "repaired" ? "; repaired" : repair === "failed" ? `; not repaired: ${reason}` : "";
  return printable(`${kind} ${subject}${of}: ${problem}${outcome}`);
}

/** What nothing refers to is no damage: the next start removes it. */
function damages(findings: readonly Finding__Output[]): readonly Finding__Output[] {
  return findings.filter(({ kind }) => kind !== "leftover");
}

function summary(findings: readonly Finding__Output[]): string {
  const damaged = damages(findings);
  if (damaged.length === 0) return "all is well";
  const left = damaged.filter(({ repair }) => repair !== "repaired").length;
  return left === 0 ? `${damaged.length} repaired` : `${left} damaged`;
}

function exitCode(findings: readonly Finding__Output[]): number {
  const damaged = damages(findings);
  if (damaged.length === 0) return 0;
  return damaged.every(({ repair }) => repair === "repaired") ? repairedCode : damagedCode;
}
