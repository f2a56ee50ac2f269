/**
 * The confined unpacker, and what else reads trees that nobody trusts:
 *
 * ```
 * luajit berth-unpack.lua unpack FOLDER MAX_BYTES MAX_ENTRIES    a layer, compressed or not, from stdin into FOLDER
 * luajit berth-unpack.lua pack FORM UIDS GIDS FOLDER...          FOLDERs, topmost first, as a tar on stdout
 * luajit berth-unpack.lua copy FOLDER LAYER...                  what LAYERs, topmost first, show as an overlay into FOLDER
 * luajit berth-unpack.lua digest DEPTH FOLDER                    a digest of what FOLDER holds
 * ```
 *
 * One line of JSON says how it went: on stdout, of pack on stderr.
 */
import { unpackArchive } from "./archive.ts";
import { capabilities, confine } from "./confine.ts";
import { copyTree } from "./copy.ts";
import { decompress } from "./decompress.ts";
import { startHash } from "./digest.ts";
import type { Failure } from "./libc.ts";
import { failErrno, libc } from "./libc.ts";
import { isPackForm, openConfined, pack, parseIdMap } from "./pack.ts";
import { encodeReport, type Fields } from "./report.ts";
import { openSource, readFrom } from "./source.ts";
import { digestTree } from "./tree-digest.ts";
import { finishFolders, markImplicit, openTree } from "./tree.ts";

/** The command line, as the interpreter gives it. */
declare const arg: Record<number, string | undefined>;

/** Folders marked opaque in one layer: all of them are named in the report. */
const maxOpaqueFolders = 10_000;

function unpack(folder: string, maxBytes: number, maxEntries: number): Fields {
  const hash = startHash();
  confine(folder, capabilities.write);
  const source = openSource(decompress(readFrom(0)), hash, maxBytes);
  const tree = openTree();
  const skippedAttributes = unpackArchive(source, tree, maxEntries);
  source.drain();
  if (tree.opaque.length > maxOpaqueFolders) error(`more than ${maxOpaqueFolders} opaque folders`, 0);
  const implicitFolders = markImplicit(tree);
  finishFolders(tree);
  const { digest } = digestTree(openRoot(), "metadata");
  sync();
  return {
    diffId: hash.digest(),
    tarBytes: source.bytesRead(),
    usedBytes: tree.usedBytes.value,
    inodes: tree.inodes.value,
    skippedAttributes,
    opaque: tree.opaque,
    implicitFolders,
    treeDigest: digest,
  };
}

function openRoot(): number {
  const fd = libc.open(".", 0, 0);
  if (fd < 0) failErrno("open the layer");
  return fd;
}

/** One syncfs a layer instead of an fsync a file; it also reports an error of any write before it. */
function sync(): void {
  const fd = openRoot();
  if (libc.syncfs(fd) !== 0) failErrno("syncfs");
  libc.close(fd);
}

/** Where memory cannot become executable (SELinux execmem, PR_SET_MDWE) the JIT would panic. */
function settleJit(): void {
  const page = libc.mmap(undefined, 4096, 3, 0x22, -1, 0);
  if (libc.mprotect(page, 4096, 5) !== 0) jit.off();
  libc.munmap(page, 4096);
}

function describe(thrown: unknown): Failure {
  if (type(thrown) === "table") return thrown as Failure;
  return { kind: "format", errno: 0, message: tostring(thrown) };
}

function wordsFrom(place: number): string[] {
  const words: string[] = [];
  for (let index = place; ; index++) {
    const word = arg[index];
    if (word === undefined) return words;
    words.push(word);
  }
}

/** Does what the command line asks for; undefined where it asks for nothing known. */
function run(): Fields | undefined {
  const [verb, first, second, third] = [arg[1], arg[2], arg[3], arg[4]];
  if (first === undefined || second === undefined) return undefined;
  if (verb === "unpack") {
    const [maxBytes, maxEntries] = [tonumber(second), tonumber(third)];
    return maxBytes === undefined || maxEntries === undefined
      ? undefined
      : unpack(first, maxBytes, maxEntries);
  }
  if (verb === "digest" && (first === "metadata" || first === "content")) {
    return digestTree(openConfined([second])[0] ?? -1, first);
  }
  if (verb === "copy") return copyTree(first, wordsFrom(3));
  if (verb === "pack" && isPackForm(first)) {
    const folders = wordsFrom(5);
    if (folders.length === 0) return undefined;
    pack(first, parseIdMap(second), parseIdMap(third ?? ""), folders);
    return {};
  }
  return undefined;
}

settleJit();
const [ok, result] = pcall(run);
const output = arg[1] === "pack" ? io.stderr : io.stdout;
if (ok && result === undefined) {
  io.stderr.write("usage: berth-unpack.lua unpack|pack|copy|digest ...; see src/images/unpacker/main.ts\n");
  os.exit(2);
}
output.write(encodeReport(ok ? { ok: true, ...result } : { ok: false, ...describe(result) }));
output.flush();
os.exit(ok ? 0 : 1);
