import type { Archives } from "../../sandbox/index.ts";
import type { ByteHandler } from "../byte-stream.ts";
import { requiredText } from "../convert/fields.ts";
import type { ExportContainerRequest__Output } from "../types/berth/v1/ExportContainerRequest.ts";

/** Writes a container's tree as an archive. */
export function exportContainer(archives: Archives): ByteHandler<ExportContainerRequest__Output> {
  return async ({ container_id }, sink, { signal }) => {
    await archives.export(requiredText("container_id", container_id), sink, signal);
  };
}
