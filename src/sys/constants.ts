/**
 * Numbers of the Linux user-space API that are the same on every architecture this project supports
 * (little-endian, 64-bit). What differs is in architecture.ts.
 */

/** setns(2), unshare(2): the kinds of namespace. */
export const CLONE_NEWNS = 0x0002_0000;
export const CLONE_NEWCGROUP = 0x0200_0000;
export const CLONE_NEWUTS = 0x0400_0000;
export const CLONE_NEWIPC = 0x0800_0000;
export const CLONE_NEWUSER = 0x1000_0000;
export const CLONE_NEWPID = 0x2000_0000;
export const CLONE_NEWNET = 0x4000_0000;

/** mount(2). */
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_MANDLOCK = 64;
export const MS_DIRSYNC = 128;
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_SILENT = 32768;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;
export const MS_STRICTATIME = 1 << 24;
export const MS_LAZYTIME = 1 << 25;

/** umount2(2). */
export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const MNT_EXPIRE = 4;
export const UMOUNT_NOFOLLOW = 8;

/** flock(2). */
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

/** socket(2), recv(2). */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

/** getsockopt(2), poll(2). */
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const POLLOUT = 4;

/** netlink(7). */
export const SOL_NETLINK = 270;
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

/** statfs(2): `f_type` of the file systems that decisions depend on. */
export const NSFS_MAGIC = 0x6e73_6673;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const TMPFS_MAGIC = 0x0102_1994;
export const OVERLAYFS_SUPER_MAGIC = 0x794c_7630;
export const CGROUP_SUPER_MAGIC = 0x0027_e0eb;
export const CGROUP2_SUPER_MAGIC = 0x6367_7270;
export const EXT4_SUPER_MAGIC = 0xef53;
export const XFS_SUPER_MAGIC = 0x5846_5342;
export const BTRFS_SUPER_MAGIC = 0x9123_683e;
export const NFS_SUPER_MAGIC = 0x6969;

/** capget(2). */
export const LINUX_CAPABILITY_VERSION_3 = 0x2008_0522;
/** prctl(2). */
export const PR_CAPBSET_READ = 23;
