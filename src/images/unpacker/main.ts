/**
 * The confined unpacker: `luajit berth-unpack.lua FOLDER MAX_BYTES MAX_ENTRIES`. A layer, compressed or not, comes in
 * on stdin and lands in FOLDER; one line of JSON on stdout says how it went.
 */
import { unpackArchive } from "./archive.ts";
import { confine } from "./confine.ts";
import { decompress } from "./decompress.ts";
import { startHash } from "./digest.ts";
import type { Failure } from "./libc.ts";
import { failErrno, libc } from "./libc.ts";
import { encodeReport } from "./report.ts";
import { openSource, readFrom } from "./source.ts";
import { finishFolders, openTree } from "./tree.ts";

/** The command line, as the interpreter gives it. */
declare const arg: Record<number, string | undefined>;

/** Folders marked opaque in one layer: all of them are named in the report. */
const maxOpaqueFolders = 10_000;

function unpack(folder: string, maxBytes: number, maxEntries: number): string {
  const hash = startHash();
  confine(folder);
  const source = openSource(decompress(readFrom(0)), hash, maxBytes);
  const tree = openTree();
  const skippedAttributes = unpackArchive(source, tree, maxEntries);
  source.drain();
  if (tree.opaque.length > maxOpaqueFolders) error(`more than ${maxOpaqueFolders} opaque folders`, 0);
  finishFolders(tree);
  sync();
  return encodeReport({
    ok: true,
    diffId: hash.digest(),
    tarBytes: source.bytesRead(),
    usedBytes: tree.usedBytes.value,
    inodes: tree.inodes.value,
    skippedAttributes,
    opaque: tree.opaque,
  });
}

/** One syncfs a layer instead of an fsync a file; it also reports an error of any write before it. */
function sync(): void {
  const fd = libc.open(".", 0, 0);
  if (fd < 0) failErrno("open the layer");
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

settleJit();
const [folder, maxBytes, maxEntries] = [arg[1], tonumber(arg[2]), tonumber(arg[3])];
if (folder === undefined || maxBytes === undefined || maxEntries === undefined) {
  io.stderr.write("usage: berth-unpack.lua FOLDER MAX_BYTES MAX_ENTRIES\n");
  os.exit(2);
} else {
  const [ok, result] = pcall(() => unpack(folder, maxBytes, maxEntries));
  const report = ok ? result : encodeReport({ ok: false, ...describe(result) });
  io.stdout.write(report);
  io.stdout.flush();
  os.exit(ok ? 0 : 1);
}
