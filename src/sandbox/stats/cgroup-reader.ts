import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../../core/clock.ts";
import { CgroupFiles } from "./cgroup-files.ts";
import { pressureIn } from "./cgroup-text.ts";
import type { Controllers, ReadFile } from "./controllers.ts";
import { HandleBudget } from "./handle-budget.ts";
import { isPureV2, parseHierarchies, type Hierarchies } from "./hierarchies.ts";
import type { CgroupDetail, CgroupUsage, Pressures } from "./numbers.ts";
import { controllersV1 } from "./v1/controllers.ts";
import { controllersV2 } from "./v2/controllers.ts";

/** Reads the numbers of cgroups; knows the host's hierarchies, which are looked up once. */
export class CgroupReader {
  readonly #hierarchies: Hierarchies;
  readonly #controllers: Controllers;
  readonly #pageSizes: readonly string[];
  readonly #budget: HandleBudget;
  readonly #clock: Clock;

  constructor(options: {
    readonly hierarchies: Hierarchies;
    /** Sizes of huge pages as cgroup files name them, such as `2MB`. */
    readonly pageSizes: readonly string[];
    readonly budget: HandleBudget;
    readonly clock: Clock;
  }) {
    this.#hierarchies = options.hierarchies;
    this.#controllers = isPureV2(options.hierarchies) ? controllersV2 : controllersV1;
    this.#pageSizes = options.pageSizes;
    this.#budget = options.budget;
    this.#clock = options.clock;
  }

  /** A reader for this host. */
  static forThisHost(clock: Clock): CgroupReader {
    return new CgroupReader({
      hierarchies: parseHierarchies(readFileSync("/proc/self/mountinfo", "utf8")),
      pageSizes: hostPageSizes(),
      budget: HandleBudget.forThisProcess(),
      clock,
    });
  }

  /** The files of a cgroup, by its path from the hierarchies' roots; to be disposed of. */
  open(path: string): CgroupFiles {
    return new CgroupFiles(this.#hierarchies, path, this.#budget);
  }

  /** What stats show; undefined where the cgroup is not there. */
  usage(files: CgroupFiles): CgroupUsage | undefined {
    const read = reading(files);
    const at = this.#clock();
    const usage = {
      at,
      cpuNanoseconds: this.#controllers.cpuNanoseconds(read),
      memory: this.#controllers.memory(read),
      tasks: this.#controllers.tasks(read),
      pressure: pressures(read),
    };
    return usage.cpuNanoseconds === undefined && usage.memory === undefined ? undefined : usage;
  }

  /** What metrics show besides. */
  detail(files: CgroupFiles): CgroupDetail {
    const read = reading(files);
    return {
      cpu: this.#controllers.cpuDetail(read),
      memory: this.#controllers.memoryDetail(read),
      io: this.#controllers.io(read),
      hugetlb: this.#controllers.hugetlb(read, this.#pageSizes),
      tasksMax: this.#controllers.tasksMax(read),
    };
  }

  /** The folder whose cgroup.procs, with those of the folders below, lists a cgroup's processes. */
  processFolder(files: CgroupFiles): string | undefined {
    return files.folder(this.#controllers.processHierarchy);
  }
}

function reading(files: CgroupFiles): ReadFile {
  return (controller, file) => files.read(controller, file);
}

/** Pressure is the v2 hierarchy's alone, but there without any controller: the hybrid mount has it too. */
function pressures(read: ReadFile): Pressures {
  return {
    cpu: pressureIn(read("unified", "cpu.pressure")),
    memory: pressureIn(read("unified", "memory.pressure")),
    io: pressureIn(read("unified", "io.pressure")),
  };
}

/** `hugepages-2048kB` of sysfs is `2MB` in the names of cgroup files. */
function hostPageSizes(): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync("/sys/kernel/mm/hugepages");
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
    return Number.isNaN(kilobytes) ? [] : [pageSizeName(kilobytes)];
  });
}

/** As the kernel writes them in file names: the largest unit below the size, KB, MB or GB. */
export function pageSizeName(kilobytes: number): string {
  if (kilobytes >= 1024 * 1024) return `${kilobytes / (1024 * 1024)}GB`;
  return kilobytes >= 1024 ? `${kilobytes / 1024}MB` : `${kilobytes}KB`;
}
