import type { sendUnaryData, ServerReadableStream } from "@grpc/grpc-js";
import type { Images } from "../../sandbox/index.ts";
import { serviceError } from "../errors.ts";
import type { ImportImageRequest__Output } from "../types/berth/v1/ImportImageRequest.ts";
import type { ImportImageResponse } from "../types/berth/v1/ImportImageResponse.ts";
import { callSignal } from "../unary.ts";

type ImportCall = ServerReadableStream<ImportImageRequest__Output, ImportImageResponse>;

/** Takes in the images of a tar archive that arrives piece by piece; the first message may name the image. */
export function importImage(images: Images) {
  return (call: ImportCall, respond: sendUnaryData<ImportImageResponse>): void => {
    run(images, call).then(
      (response) => {
        respond(null, response);
      },
      (thrown: unknown) => {
        respond(serviceError(thrown));
      },
    );
  };
}

async function run(images: Images, call: ImportCall): Promise<ImportImageResponse> {
  const messages = (call as AsyncIterable<ImportImageRequest__Output>)[Symbol.asyncIterator]();
  const first = await messages.next();
  const reference = first.done === true ? "" : first.value.reference;
  const imported = await images.import(dataOf(first, messages), reference, callSignal(call));
  return { images: imported.map(({ id, tags }) => ({ id, references: [...tags] })) };
}

/** The bytes that messages carry, from a first one that was read already. */
export async function* dataOf<Message extends { readonly data: Uint8Array }>(
  first: IteratorResult<Message>,
  rest: AsyncIterator<Message>,
): AsyncGenerator<Uint8Array> {
  for (let next = first; next.done !== true; next = await rest.next()) yield next.value.data;
}
