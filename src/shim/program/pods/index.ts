/**
 * A pod's namespaces, shared memory and PID 1: made, removed, and what is left of a container destroyed. Each call is
 * the whole work of one child of the launcher, in the host's namespaces.
 */
export { createPod } from "./create.ts";
export { removePod } from "./remove.ts";
export { destroy } from "./destroy.ts";
