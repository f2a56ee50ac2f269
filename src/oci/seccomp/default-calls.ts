/**
 * The system calls that every container may make, by what they are for. The 32-bit and older forms stand beside the current
 * one: a filter covers all ABIs of the machine, and a name that an ABI lacks is passed over there.
 */
export const harmlessCalls: Readonly<Record<string, readonly string[]>> = {
  openAndClose: words(`
    open openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 ioctl flock
    name_to_handle_at pipe pipe2`),
  readAndWrite: words(`
    read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek
    sendfile sendfile64 splice tee vmsplice copy_file_range readahead fadvise64 fadvise64_64 cachestat
    io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64`),
  syncAndSpace: words(`
    sync syncfs fsync fdatasync sync_file_range fallocate truncate truncate64 ftruncate ftruncate64`),
  folders: words(`
    chdir fchdir getcwd mkdir mkdirat rmdir getdents getdents64 link linkat symlink symlinkat readlink readlinkat
    rename renameat renameat2 unlink unlinkat mknod mknodat`),
  fileStatus: words(`
    stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64
    statmount listmount access faccessat faccessat2 umask utime utimes futimesat utimensat utimensat_time64`),
  ownersAndModes: words(`
    chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat`),
  extendedAttributes: words(`
    getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
    listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat`),
  fileEvents: words(`
    inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark`),
  waitForEvents: words(`
    select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
    eventfd eventfd2 signalfd signalfd4`),
  memory: words(`
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall mseal
    remap_file_pages memfd_create memfd_secret membarrier pkey_alloc pkey_free pkey_mprotect map_shadow_stack
    process_mrelease`),
  processes: words(`
    fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill
    pidfd_open pidfd_send_signal prctl rseq set_tid_address set_robust_list get_robust_list
    set_thread_area get_thread_area restart_syscall
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid`),
  // Since Linux 4.8 a traced call passes the filter after the tracer had its say, so tracing opens nothing.
  tracing: words(`ptrace process_vm_readv process_vm_writev uretprobe`),
  limitsAndScheduling: words(`
    getrlimit ugetrlimit setrlimit prlimit64 getrusage times getpriority setpriority ioprio_get ioprio_set
    getcpu sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
    sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
    sched_rr_get_interval sched_rr_get_interval_time64`),
  signals: words(`
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn pause alarm`),
  locks: words(`
    futex futex_time64 futex_wait futex_wake futex_waitv futex_requeue`),
  // Those that set the clock look the capability up themselves; reading through them needs none.
  time: words(`
    time gettimeofday adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 nanosleep getitimer setitimer
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`),
  ipc: words(`
    ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
    mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64`),
  // socket(2) itself and socketcall(2) have conditions: see the profile.
  sockets: words(`
    socketpair bind listen accept accept4 connect shutdown getpeername getsockname getsockopt setsockopt
    send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64`),
  usersAndGroups: words(`
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getgroups getgroups32
    getresuid getresuid32 getresgid getresgid32 setuid setuid32 setgid setgid32 setgroups setgroups32
    setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32
    setfsuid setfsuid32 setfsgid setfsgid32 capget capset`),
  // A process may always give up more.
  confinement: words(`
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
    lsm_get_self_attr lsm_set_self_attr lsm_list_modules`),
  system: words(`getrandom sysinfo uname`),
};

/** Calls that one machine has. */
export const machineCalls = {
  x64: words(`arch_prctl modify_ldt`),
  arm64: words(`arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls`),
} as const;

/**
 * Calls that a capability opens. The kernel checks the capability as well; the filter spares containers without it the code
 * behind the call.
 */
export const callsByCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_BPF: words(`bpf`),
  CAP_DAC_READ_SEARCH: words(`open_by_handle_at`),
  CAP_PERFMON: words(`perf_event_open`),
  CAP_SYSLOG: words(`syslog`),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 unshare setns mount umount umount2 mount_setattr move_mount open_tree
    fsopen fsconfig fsmount fspick fanotify_init lookup_dcookie perf_event_open quotactl quotactl_fd
    sethostname setdomainname syslog`),
  CAP_SYS_BOOT: words(`reboot`),
  CAP_SYS_CHROOT: words(`chroot`),
  CAP_SYS_MODULE: words(`init_module finit_module delete_module`),
  CAP_SYS_NICE: words(`get_mempolicy set_mempolicy set_mempolicy_home_node mbind`),
  CAP_SYS_PACCT: words(`acct`),
  CAP_SYS_PTRACE: words(`kcmp pidfd_getfd process_madvise`),
  CAP_SYS_RAWIO: words(`ioperm iopl`),
  CAP_SYS_TIME: words(`settimeofday stime clock_settime clock_settime64`),
  CAP_SYS_TTY_CONFIG: words(`vhangup`),
};

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}
