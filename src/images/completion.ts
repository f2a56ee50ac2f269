import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../core/digest.ts";
import type { Layer } from "../core/image.ts";
import type { Catalog, Lease } from "./catalog.ts";
import { temporaryPath, type Layout } from "./layout.ts";
import type { LayerStore } from "./layers.ts";
import { packTree } from "./pack.ts";
import type { UnpackerSettings } from "./unpack.ts";

/** What completing layers needs of the store. */
export interface CompletionContext {
  readonly layout: Layout;
  readonly catalog: Pick<Catalog, "layers">;
  readonly unpacker: UnpackerSettings;
  readonly layers: Pick<LayerStore, "take">;
}

/**
 * Makes the layer that gives folders back what an upper layer hides of them. A tar may hold `var/lib/app/file` and no entry
 * for `var/lib`: unpacked over another layer it leaves that folder as it is, but as a layer of an overlay it would show one
 * of root's with mode 0755. The layer has those folders, as the lower layers describe them, and nothing else. Undefined
 * where nothing is hidden.
 *
 * @param diffIds lowest first, all in the store
 * @param lease keeps the layer
 */
export async function completeLayers(
  context: CompletionContext,
  diffIds: readonly Digest[],
  lease: Lease,
  what: string,
  signal: AbortSignal,
): Promise<Digest | undefined> {
  const { layout, layers } = context;
  if (!(await mayHide(context, diffIds))) return undefined;
  const tar = temporaryPath(layout, "completion");
  try {
    await writeFile(tar, readCompletion(context, diffIds, what, signal), { mode: 0o600 });
    if ((await stat(tar)).size <= emptyTarBytes) return undefined;
    return (await layers.take({ kind: "file", path: tar }, what, lease, signal)).diffId;
  } finally {
    await rm(tar, { force: true });
  }
}

/** The tar of the layer that completes others; the two zero blocks of its end where there is nothing to complete. */
export function readCompletion(
  { layout, catalog, unpacker }: Pick<CompletionContext, "layout" | "catalog" | "unpacker">,
  diffIds: readonly Digest[],
  what: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const folders = topmostFirst(catalog, diffIds).map((layer) => treeOf(layout, layer));
  return packTree(unpacker, { form: "completion", folders, what }, signal);
}

const emptyTarBytes = 1024;
const plainMode = 0o755;

function topmostFirst(catalog: CompletionContext["catalog"], diffIds: readonly Digest[]): Layer[] {
  return [...new Set(diffIds.toReversed())]
    .map((diffId) => catalog.layers.get(diffId))
    .filter((layer) => layer !== undefined);
}

function treeOf(layout: Layout, { folder }: Layer): string {
  return join(layout.layers, folder, "fs");
}

/** Looks at what is known of the layers: most images need no walk through their trees. */
async function mayHide({ layout, catalog }: CompletionContext, diffIds: readonly Digest[]): Promise<boolean> {
  const upper = topmostFirst(catalog, diffIds);
  if (upper.slice(0, -1).some(({ implicitFolders = 0 }) => implicitFolders > 0)) return true;
  // Tars seldom have an entry for the root, and where one has, it is as a rule what the others are without.
  const roots = await Promise.all(upper.map((layer) => stat(treeOf(layout, layer))));
  return roots.some(({ mode, uid, gid }) => (mode & 0o7777) !== plainMode || uid !== 0 || gid !== 0);
}
