import { defineCommand } from "../command.ts";
import { outputOption, receiveArchive } from "../receive-archive.ts";

export const exportContainer = defineCommand({
  name: "export",
  usage: "CONTAINER",
  summary: "Write a container's file tree as a tar archive.",
  details: [
    "What is mounted into the container is left out. A running container goes on meanwhile; `berth import --rootfs` " +
      "makes an image of the archive.",
  ],
  options: outputOption,
  words: { least: 1, most: 1 },
  run: async (context, { output }, [container = ""]) => {
    const request = { container_id: container };
    await receiveArchive(context, { method: "ExportContainer", request }, output);
    return 0;
  },
});
