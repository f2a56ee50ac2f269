/** A container's log in the CRI's format: lines, a bounded way to the disk, and the process that writes. */
export { ContainerLog } from "./container-log.ts";
export type { Reopened } from "./delivery.ts";
export type { LogStream } from "./line-buffer.ts";
