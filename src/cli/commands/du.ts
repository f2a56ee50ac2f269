import type { DiskUsageResponse__Output } from "../../cri/types/berth/v1/DiskUsageResponse.ts";
import { defineCommand } from "../command.ts";
import { shortId, size } from "../format.ts";
import { print } from "../print.ts";
import { fields, table } from "../table.ts";

const bytes = (text: string): string => size(Number(text));

export const du = defineCommand({
  name: "du",
  usage: "",
  summary: "Show what images, layers and containers take of the disk.",
  details: [
    "TOTAL counts all layers of an image, OWN what its removal alone would free: what it shares with other images, and " +
      "what containers were made of, stays.",
  ],
  options: {
    layers: { kind: "flag", short: "l", doc: "Show every layer as well." },
  },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const usage = await context.client.admin.DiskUsage({});
    print(context, usage, () =>
      [
        fields([
          ["layers", bytes(usage.layer_bytes)],
          ["documents and kept blobs", bytes(usage.blob_bytes)],
          ["written by containers", bytes(usage.container_bytes)],
        ]),
        images(usage),
        ...(options.layers ? [layers(usage)] : []),
        containers(usage),
      ].join("\n\n"),
    );
    return 0;
  },
});

function images(usage: DiskUsageResponse__Output): string {
  const rows = usage.images.toSorted((a, b) => Number(b.total_bytes) - Number(a.total_bytes));
  return table(
    ["NAME", "IMAGE", "TOTAL", "OWN", "CONTAINERS", ""],
    rows.map((image) => [
      image.references[0] ?? "",
      shortId(image.id),
      bytes(image.total_bytes),
      bytes(image.own_bytes),
      String(image.containers.length),
      image.pinned ? "pinned" : " ",
    ]),
  );
}

function layers(usage: DiskUsageResponse__Output): string {
  const rows = usage.layers.toSorted((a, b) => Number(b.bytes) - Number(a.bytes));
  return table(
    ["LAYER", "SIZE", "INODES", "IMAGES", "CONTAINERS"],
    rows.map((layer) => [
      shortId(layer.diff_id),
      bytes(layer.bytes),
      layer.inodes,
      String(layer.images.length),
      String(layer.containers.length),
    ]),
  );
}

function containers(usage: DiskUsageResponse__Output): string {
  const rows = usage.containers.toSorted((a, b) => Number(b.bytes) - Number(a.bytes));
  return table(
    ["CONTAINER", "NAME", "IMAGE", "WRITTEN"],
    rows.map((one) => [shortId(one.id), one.name, shortId(one.image), bytes(one.bytes)]),
  );
}
