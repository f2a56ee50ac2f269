import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { newImageOptions } from "../new-image.ts";
import { openArchive, printImported, sendArchive, sendRootfs } from "../send-archive.ts";

export const importImage = defineCommand({
  name: "import",
  usage: "FILE [IMAGE]",
  summary: "Put the images of a tar archive into the store.",
  details: [
    "FILE is an OCI image layout or the output of `docker save`; - reads standard input. Digests stay as they are.",
    "With --rootfs, FILE is a root file system, compressed or not, that becomes the one layer of a new image IMAGE.",
  ],
  options: {
    name: { kind: "text", short: "n", placeholder: "IMAGE", doc: "What to call the archive's only image." },
    rootfs: { kind: "flag", doc: "FILE is the tar of a root file system." },
    ...newImageOptions,
  },
  words: { least: 1, most: 2 },
  run: async (context, options, [file = "", image]) => {
    const { client, terminal, signal } = context;
    const { rootfs, name = "", author, message, change } = options;
    if (!rootfs) refuseForRootfs(image, author, message, change);
    const archive = openArchive(file, terminal);
    const images = rootfs
      ? await sendRootfs(
          client,
          {
            reference: image ?? missingName(name),
            author: author ?? "",
            message: message ?? "",
            changes: [...change],
          },
          archive,
          signal,
        )
      : await sendArchive(client, name, archive, signal);
    printImported(context, images);
    return 0;
  },
});

function missingName(name: string): string {
  if (name !== "") return name;
  throw new RuntimeError("invalid-argument", "--rootfs makes a new image: say what to call it");
}

function refuseForRootfs(
  image: string | undefined,
  author: string | undefined,
  message: string | undefined,
  change: readonly string[],
): void {
  if (image !== undefined)
    throw new RuntimeError("invalid-argument", "too many arguments; --name names the archive's only image");
  if (author !== undefined || message !== undefined || change.length > 0)
    throw new RuntimeError("invalid-argument", "--author, --message and --change are for --rootfs");
}
