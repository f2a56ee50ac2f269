export { pidsV1 as pidsV2 } from "../v1/pids.ts";
