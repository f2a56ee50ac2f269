/** The profile that `RuntimeDefault` means; loaded by the daemon, replaced by that of a newer build. */
export const defaultProfileName = "berth-default";

/**
 * The text of the default profile, for apparmor_parser(8): all that capabilities, seccomp and namespaces leave, but for
 * mounts, writes to what of /proc and /sys is the node's, and processes of another profile. The effect is that of the
 * profile that Docker and containerd generate.
 *
 * @see https://manpages.debian.org/apparmor.d.5
 */
export function defaultProfile(): string {
  const denials = [
    "mount,",
    // Of /proc: files at its top, folders that are no process's, and of /proc/sys all but the pod's own IPC and network.
    "/proc/* w,",
    "/proc/{[^1-9s],[^1-9s][^0-9y],s[^ey],[^1-9s][^0-9y][^0-9s]}** w,",
    "/proc/sys/[^kn]** w,",
    "/proc/sys/kernel/{?,??,[^sm][^he][^ms]**} w,",
    "/proc/{sysrq-trigger,kcore,kmem,mem} rwklx,",
    // Of /sys: everything but cgroups, which the mount makes read-only where they are not the container's.
    "/sys/[^f]*/** wklx,",
    "/sys/f[^s]*/** wklx,",
    "/sys/fs/[^c]*/** wklx,",
    "/sys/fs/c[^g]*/** wklx,",
    "/sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,",
  ];
  return [
    `profile ${defaultProfileName} flags=(attach_disconnected,mediate_deleted) {`,
    "  file,",
    "  network,",
    "  capability,",
    "  umount,",
    // The shim, the kubelet and an operator are unconfined.
    "  signal (receive) peer=unconfined,",
    `  signal (send, receive) peer=${defaultProfileName},`,
    `  ptrace (trace, read, tracedby, readby) peer=${defaultProfileName},`,
    ...denials.map((rule) => `  deny ${rule}`),
    "}",
    "",
  ].join("\n");
}
