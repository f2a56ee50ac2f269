import type { Archives } from "../../sandbox/index.ts";
import { requiredText } from "../convert/fields.ts";
import { readNewImage } from "../convert/image.ts";
import type { CommitContainerRequest__Output } from "../types/berth/v1/CommitContainerRequest.ts";
import type { ImportImageResponse } from "../types/berth/v1/ImportImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Makes an image of a container. */
export function commitContainer(
  archives: Archives,
): UnaryHandler<CommitContainerRequest__Output, ImportImageResponse> {
  return async ({ container_id, image, no_pause }, { signal }) => {
    const container = requiredText("container_id", container_id);
    const meanwhile = no_pause ? "running" : "paused";
    const { id, tags } = await archives.commit(container, readNewImage(image), meanwhile, signal);
    return { images: [{ id, references: [...tags] }] };
  };
}
