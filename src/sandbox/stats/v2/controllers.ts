import type { Controllers } from "../controllers.ts";
import { cpuDetailV2, cpuNanosecondsV2 } from "./cpu.ts";
import { hugetlbV2 } from "./hugetlb.ts";
import { ioV2 } from "./io.ts";
import { memoryDetailV2, memoryV2 } from "./memory.ts";
import { tasksMaxV2, tasksV2 } from "./pids.ts";

/** cgroup v2 with the controllers: one hierarchy. */
export const controllersV2: Controllers = {
  cpuNanoseconds: cpuNanosecondsV2,
  cpuDetail: cpuDetailV2,
  memory: memoryV2,
  memoryDetail: memoryDetailV2,
  tasks: tasksV2,
  tasksMax: tasksMaxV2,
  io: ioV2,
  hugetlb: hugetlbV2,
  processHierarchy: "unified",
};
