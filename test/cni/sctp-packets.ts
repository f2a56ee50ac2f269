import { setTimeout as sleep } from "node:timers/promises";
import { parseIp, ipBytes } from "../../src/cni/ip.ts";
import { recv, SOCK_RAW, sendto, socket } from "../../src/sys/index.ts";

/**
 * Sends and answers SCTP's first chunk on a raw socket, so that a kernel which tracks SCTP needs no sockets of it:
 *
 *     sctp-packets.ts ask HOST PORT       sends INIT until INIT ACK comes, prints the port that it comes from
 *     sctp-packets.ts serve PORT CLIENT   prints "ready", answers each INIT to the port with INIT ACK
 *
 * @see RFC 9260, sections 3.1, 3.3.2 and 3.3.3
 */
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_SCTP = 132;
const INIT = 1;
const INIT_ACK = 2;
const askingPort = 40_000;
const tags = { [INIT]: 0x11111111, [INIT_ACK]: 0x22222222 } as const;
const patienceMs = 5_000;
const intervalMs = 20;

const [command, ...words] = process.argv.slice(2);
if (command === "ask") process.stdout.write(await ask(words[0] ?? "", Number(words[1])));
else await serve(Number(words[0]), words[1] ?? "");

async function ask(host: string, port: number): Promise<string> {
  const { fd, send, receive } = open(host);
  for (let waited = 0; waited < patienceMs; waited += intervalMs) {
    send(packet(askingPort, port, 0, INIT));
    await sleep(intervalMs);
    const answer = receive(INIT_ACK, askingPort);
    if (answer !== undefined) return `${answer.from}`;
  }
  return `timeout ${fd}`;
}

async function serve(port: number, client: string): Promise<never> {
  const { send, receive } = open(client);
  process.stdout.write("ready");
  process.stdin.resume().on("end", () => process.exit());
  for (;;) {
    const asked = receive(INIT, port);
    if (asked !== undefined) send(packet(port, asked.from, tags[INIT], INIT_ACK));
    await sleep(intervalMs);
  }
}

function open(peer: string): {
  readonly fd: number;
  readonly send: (data: Buffer) => void;
  readonly receive: (type: number, port: number) => { readonly from: number } | undefined;
} {
  const ip = parseIp(peer);
  const fd = socket(ip.family === 4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_SCTP);
  const address = Buffer.alloc(ip.family === 4 ? 16 : 28);
  address.writeUInt16LE(ip.family === 4 ? AF_INET : AF_INET6, 0);
  ipBytes(ip).copy(address, ip.family === 4 ? 4 : 8);
  const buffer = Buffer.alloc(2048);
  return {
    fd,
    send: (data) => void sendto(fd, data, 0, address),
    receive: (type, port) => {
      for (let bytes = recv(fd, buffer); bytes !== undefined; bytes = recv(fd, buffer)) {
        // IPv4 raw sockets give the header too.
        const data = bytes.subarray(ip.family === 4 ? 20 : 0);
        if (data.readUInt16BE(2) === port && data.readUInt8(12) === type)
          return { from: data.readUInt16BE(0) };
      }
      return undefined;
    },
  };
}

/** Common header, and a chunk of INIT's form: tag, window, streams out and in, first sequence number. */
function packet(from: number, to: number, tag: number, type: typeof INIT | typeof INIT_ACK): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt16BE(from, 0);
  bytes.writeUInt16BE(to, 2);
  bytes.writeUInt32BE(tag, 4);
  bytes.writeUInt8(type, 12);
  bytes.writeUInt16BE(20, 14);
  bytes.writeUInt32BE(tags[type], 16);
  bytes.writeUInt32BE(65_536, 20);
  bytes.writeUInt16BE(1, 24);
  bytes.writeUInt16BE(1, 26);
  bytes.writeUInt32BE(1, 28);
  bytes.writeUInt32LE(crc32c(bytes), 8);
  return bytes;
}

/** CRC-32C (RFC 9260, appendix A). */
function crc32c(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f6_3b78);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
