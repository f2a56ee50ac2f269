import type { sendUnaryData, ServerReadableStream } from "@grpc/grpc-js";
import type { Archives } from "../../sandbox/index.ts";
import { readNewImage } from "../convert/image.ts";
import { serviceError } from "../errors.ts";
import type { ImportImageResponse } from "../types/berth/v1/ImportImageResponse.ts";
import type { ImportRootfsRequest__Output } from "../types/berth/v1/ImportRootfsRequest.ts";
import { callSignal } from "../unary.ts";
import { dataOf } from "./admin-import-image.ts";

type ImportCall = ServerReadableStream<ImportRootfsRequest__Output, ImportImageResponse>;

/** Makes an image of a root file system that arrives piece by piece; the first message describes the image. */
export function importRootfs(archives: Archives) {
  return (call: ImportCall, respond: sendUnaryData<ImportImageResponse>): void => {
    run(archives, call).then(
      (response) => {
        respond(null, response);
      },
      (thrown: unknown) => {
        respond(serviceError(thrown));
      },
    );
  };
}

async function run(archives: Archives, call: ImportCall): Promise<ImportImageResponse> {
  const messages = (call as AsyncIterable<ImportRootfsRequest__Output>)[Symbol.asyncIterator]();
  const first = await messages.next();
  const image = readNewImage(first.done === true ? null : first.value.image);
  const { id, tags } = await archives.importRootfs(dataOf(first, messages), image, callSignal(call));
  return { images: [{ id, references: [...tags] }] };
}
