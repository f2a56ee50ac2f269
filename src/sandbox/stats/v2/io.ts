import { ioStatIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { IoDetail } from "../numbers.ts";

/** Keys of io.stat under the names that v1 has for the same. */
const byteKeys = { rbytes: "Read", wbytes: "Write", dbytes: "Discard" };
const operationKeys = { rios: "Read", wios: "Write", dios: "Discard" };

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files */
export function ioV2(read: ReadFile): IoDetail {
  const text = read("unified", "io.stat");
  return { bytes: ioStatIn(text, byteKeys), operations: ioStatIn(text, operationKeys) };
}
