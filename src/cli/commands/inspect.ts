import { hasCode, RuntimeError } from "../../core/errors.ts";
import type { Client } from "../client.ts";
import { defineCommand } from "../command.ts";
import { findContainer, findImageById, findPod } from "../find.ts";
import { print } from "../print.ts";

export const inspect = defineCommand({
  name: "inspect",
  usage: "THING",
  summary: "Show all that is known of a container, a pod or an image, as JSON.",
  options: {},
  words: { least: 1, most: 1 },
  run: async (context, _options, [word = ""]) => {
    const found =
      (await orAbsent(inspectContainer(context.client, word))) ??
      (await orAbsent(inspectPod(context.client, word))) ??
      (await inspectImage(context.client, word));
    if (found === undefined) {
      throw new RuntimeError("not-found", `no container, pod or image ${JSON.stringify(word)}`);
    }
    print({ ...context, format: "json" }, { ...found, info: readable(found.info) }, () => "");
    return 0;
  },
});

interface Inspected {
  readonly status: unknown;
  readonly info: Readonly<Record<string, string>>;
}

async function inspectContainer(client: Client, word: string): Promise<Inspected> {
  const { id } = await findContainer(client, word);
  return client.runtime.ContainerStatus({ container_id: id, verbose: true });
}

async function inspectPod(client: Client, word: string): Promise<Inspected> {
  const { id } = await findPod(client, word);
  return client.runtime.PodSandboxStatus({ pod_sandbox_id: id, verbose: true });
}

async function inspectImage(client: Client, word: string): Promise<Inspected | undefined> {
  const image = (await findImageById(client, word))?.id ?? word;
  const response = await client.image.ImageStatus({ image: { image }, verbose: true });
  return response.image === null ? undefined : { status: response.image, info: response.info };
}

async function orAbsent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (thrown) {
    if (hasCode(thrown, "not-found")) return undefined;
    throw thrown;
  }
}

/** The daemon's extras are texts; most of them hold JSON. */
function readable(info: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(info).map(([key, text]) => {
      try {
        return [key, JSON.parse(text) as unknown];
      } catch {
        return [key, text];
      }
    }),
  );
}
