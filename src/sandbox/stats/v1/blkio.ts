import { blkioIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { IoCounter, IoDetail } from "../numbers.ts";

/**
 * The scheduler's own count where there is one, else that of the throttling layer, which sees every device.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html
 */
export function ioV1(read: ReadFile): IoDetail {
  const first = (...files: readonly string[]): readonly IoCounter[] => {
    for (const file of files) {
      const found = blkioIn(read("blkio", file));
      if (found.length > 0) return found;
    }
    return [];
  };
  return {
    bytes: first("blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"),
    operations: first("blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
  };
}
