import { closeSync, writeFileSync } from "node:fs";
import { isErrno, NETLINK_ROUTE, openNamespace, withNetns } from "../sys/index.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** A pod's network namespace, opened: its file descriptor and an rtnetlink socket inside it. */
export class PodNamespace implements AsyncDisposable {
  readonly path: string;
  readonly fd: number;
  readonly rtnetlink: NetlinkSocket;

  /** Opens the namespace pinned at `path`; throws `ENOENT`, or `EINVAL` where the file is no namespace. */
  constructor(path: string) {
    this.path = path;
    this.fd = openNamespace(path);
    try {
      this.rtnetlink = withNetns(this.fd, () => new NetlinkSocket(NETLINK_ROUTE));
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  /** Writes files below /proc/sys/net of this namespace; those of a protocol that the kernel lacks are passed over. */
  setSysctls(values: Readonly<Record<string, string>>): void {
    withNetns(this.fd, () => {
      for (const [name, value] of Object.entries(values)) writeSysctl(name, value);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rtnetlink.close();
    closeSync(this.fd);
  }
}

/** Opens a namespace; undefined where the pin or the namespace behind it is gone. */
export function openIfPresent(path: string): PodNamespace | undefined {
  if (path === "") return undefined;
  try {
    return new PodNamespace(path);
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "EINVAL")) return undefined;
    throw error;
  }
}

/** Writes `/proc/sys/net/<name>` of the calling thread's namespace; what is not there is passed over. */
export function writeSysctl(name: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${name}`, value);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
