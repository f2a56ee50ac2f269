import type { Controllers } from "../controllers.ts";
import { ioV1 } from "./blkio.ts";
import { cpuDetailV1, cpuNanosecondsV1 } from "./cpu.ts";
import { hugetlbV1 } from "./hugetlb.ts";
import { memoryDetailV1, memoryV1 } from "./memory.ts";
import { tasksMaxV1, tasksV1 } from "./pids.ts";

/** cgroup v1, the hybrid mount included: each controller has a hierarchy of its own. */
export const controllersV1: Controllers = {
  cpuNanoseconds: cpuNanosecondsV1,
  cpuDetail: cpuDetailV1,
  memory: memoryV1,
  memoryDetail: memoryDetailV1,
  tasks: tasksV1,
  tasksMax: tasksMaxV1,
  io: ioV1,
  hugetlb: hugetlbV1,
  processHierarchy: "pids",
};
