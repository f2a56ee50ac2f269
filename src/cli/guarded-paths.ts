/**
 * Files of the kernel that an ordinary container neither reads nor writes. The kubelet sends such lists with every
 * container; a container that no kubelet makes is not to have less.
 */
export const maskedPaths: string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

/** As {@link maskedPaths}, for those that may be read. */
export const readonlyPaths: string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];
