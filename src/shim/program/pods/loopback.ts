import { AF_INET, SOCK } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Ifreq } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";

const getInterfaceFlags = 0x8913;
const setInterfaceFlags = 0x8914;
const interfaceUp = 1;

/** Brings lo up in the network namespace of this process (netdevice(7)). */
export function bringLoopbackUp(): void {
  const socket = C.socket(AF_INET, SOCK.DGRAM | SOCK.CLOEXEC, 0);
  if (socket < 0) throw sysError("socket");
  const request = struct<Ifreq>("ifreq_buf");
  request.name = "lo";
  const [ok, thrown] = pcall(() => {
    if (C.ioctl(socket, getInterfaceFlags, request) < 0) throw sysError("ioctl SIOCGIFFLAGS", "lo");
    request.flags = request.flags | interfaceUp;
    if (C.ioctl(socket, setInterfaceFlags, request) < 0) throw sysError("ioctl SIOCSIFFLAGS", "lo");
  });
  close(socket);
  if (!ok) throw thrown;
}
