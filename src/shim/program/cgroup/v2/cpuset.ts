export { cpusetV1 as cpusetV2 } from "../v1/cpuset.ts";
