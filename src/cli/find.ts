import { RuntimeError } from "../core/errors.ts";
import type { Container__Output } from "../cri/types/runtime/v1/Container.ts";
import type { Image__Output } from "../cri/types/runtime/v1/Image.ts";
import type { PodSandbox__Output } from "../cri/types/runtime/v1/PodSandbox.ts";
import type { Client } from "./client.ts";
import { shortId } from "./format.ts";

/** Ambiguous words are explained with at most so many of the things they may mean. */
const maxShownMatches = 5;

/** The pod with this id, unique prefix of one, name, or `namespace/name`; throws `not-found` or `invalid-argument`. */
export async function findPod(client: Client, word: string): Promise<PodSandbox__Output> {
  const { items } = await client.runtime.ListPodSandbox({});
  return pick("pod", word, items, {
    names: ({ metadata }) =>
      metadata === null ? [] : [metadata.name, `${metadata.namespace}/${metadata.name}`],
    preferred: (pod) => pod.state === "SANDBOX_READY",
  });
}

/** The container with this id, unique prefix of one, name, or `pod/name`; throws `not-found` or `invalid-argument`. */
export async function findContainer(client: Client, word: string): Promise<Container__Output> {
  const [{ containers }, { items: pods }] = await Promise.all([
    client.runtime.ListContainers({}),
    client.runtime.ListPodSandbox({}),
  ]);
  const podNames = new Map(pods.map((pod) => [pod.id, pod.metadata?.name ?? ""]));
  return pick("container", word, containers, {
    names: ({ metadata, pod_sandbox_id }) =>
      metadata === null ? [] : [metadata.name, `${podNames.get(pod_sandbox_id) ?? ""}/${metadata.name}`],
    preferred: (container) => container.state === "CONTAINER_RUNNING",
  });
}

/** The image with this id or unique prefix of one among those that are there; undefined where there is none. */
export async function findImageById(client: Client, word: string): Promise<Image__Output | undefined> {
  const hex = word.replace(/^sha256:/, "");
  if (!/^[0-9a-f]{4,64}$/.test(hex)) return undefined;
  const { images } = await client.image.ListImages({});
  const matches = images.filter((image) => image.id.replace(/^sha256:/, "").startsWith(hex));
  if (matches.length > 1) throw ambiguous("image", word, matches);
  return matches[0];
}

interface Naming<Item> {
  readonly names: (item: Item) => readonly string[];
  /** Of several with one name, the only one of these is meant. */
  readonly preferred: (item: Item) => boolean;
}

/** Exact id, then name, then prefix of an id: a name that looks like a prefix is still a name. */
function pick<Item extends { readonly id: string }>(
  what: string,
  word: string,
  items: readonly Item[],
  { names, preferred }: Naming<Item>,
): Item {
  const exact = items.find((item) => item.id === word);
  if (exact !== undefined) return exact;
  const named = items.filter((item) => names(item).includes(word));
  const better = named.filter(preferred);
  const byName = better.length === 1 ? better : named;
  const matches =
    byName.length > 0 || !/^[0-9a-f]{1,64}$/.test(word)
      ? byName
      : items.filter((item) => item.id.startsWith(word));
  const [match] = matches;
  if (match === undefined) throw new RuntimeError("not-found", `no ${what} ${JSON.stringify(word)}`);
  if (matches.length > 1) throw ambiguous(what, word, matches);
  return match;
}

function ambiguous(what: string, word: string, matches: readonly { readonly id: string }[]): RuntimeError {
  const shown = matches.slice(0, maxShownMatches).map((match) => shortId(match.id));
  const more = matches.length > shown.length ? ", ..." : "";
  return new RuntimeError(
    "invalid-argument",
    `${what} ${JSON.stringify(word)} may be any of ${matches.length}: ${shown.join(", ")}${more}`,
  );
}
