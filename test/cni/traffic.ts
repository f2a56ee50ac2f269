import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { output, type TestNamespace } from "./namespaces.ts";

/** Answers every connection with the address it came from. */
const serverScript = `
  const server = require("node:net").createServer((socket) => socket.end(socket.remoteAddress));
  server.listen(Number(process.argv[1]), "::", () => process.stdout.write("ready"));
  process.stdin.resume().on("end", () => process.exit());
`;

/** Prints what the server at an address says, or the error's code. */
const clientScript = `
  const socket = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 3000 });
  socket.on("data", (text) => process.stdout.write(text)).on("timeout", () => socket.destroy(new Error("timeout")));
  socket.on("error", (error) => process.stdout.write(error.code ?? error.message));
`;

/** Answers every UDP datagram with the address it came from. */
const datagramServerScript = `
  for (const kind of ["udp4", "udp6"]) {
    const server = require("node:dgram").createSocket({ type: kind, ipv6Only: kind === "udp6" });
    server.on("message", (_, from) => server.send(from.address, from.port, from.address));
    server.bind(Number(process.argv[1]), () => kind === "udp6" && process.stdout.write("ready"));
  }
  process.stdin.resume().on("end", () => process.exit());
`;

/** Prints what the UDP server at an address says; asks again, for a datagram may be lost. */
const datagramClientScript = `
  const [host, port] = process.argv.slice(1);
  const client = require("node:dgram").createSocket(host.includes(":") ? "udp6" : "udp4");
  client.on("message", (text) => { process.stdout.write(text); process.exit(); });
  client.on("error", (error) => { process.stdout.write(error.code); process.exit(); });
  const ask = () => client.send("x", Number(port), host);
  ask();
  setInterval(ask, 200);
  setTimeout(() => { process.stdout.write("timeout"); process.exit(); }, 3000);
`;

/** A protocol that traffic is made with. */
export type Protocol = "tcp" | "udp";

/** Starts a server inside a namespace that tells each client the address it sees. */
export async function serve(
  namespace: TestNamespace,
  port: number,
  protocol: Protocol = "tcp",
): Promise<AsyncDisposable> {
  return start(namespace, "-e", [protocol === "tcp" ? serverScript : datagramServerScript, String(port)]);
}

/** Starts a program of Node's inside a namespace and waits until it says something: that it is ready. */
export async function start(
  namespace: TestNamespace,
  program: string,
  words: readonly string[],
): Promise<AsyncDisposable> {
  const command = [`--net=${namespace.path}`, process.execPath, program, ...words];
  const child = spawn("nsenter", command, { stdio: ["pipe", "pipe", "inherit"] });
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(([code]) => {
      throw new Error(`the server (${words.slice(-2).join(" ").slice(-40)}) has ended with ${String(code)}`);
    }),
  ]);
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Connects from inside a namespace and gives what the server said: the address it saw. */
export async function ask(
  namespace: Pick<TestNamespace, "run">,
  address: string,
  port: number,
  protocol: Protocol = "tcp",
): Promise<string> {
  const script = protocol === "tcp" ? clientScript : datagramClientScript;
  const text = await namespace.run(process.execPath, "-e", script, address, String(port));
  return text.replace("::ffff:", "");
}

/** The tests' host, for {@link ask}. */
export const fromHost: Pick<TestNamespace, "run"> = { run: output };

/** Connects from the tests' host. */
export async function askFromHost(address: string, port: number): Promise<string> {
  const socket = connect({ host: address, port, timeout: 3000 });
  socket.on("timeout", () => socket.destroy(new Error("timeout")));
  const [text] = (await once(socket, "data")) as [Buffer];
  return text.toString().replace("::ffff:", "");
}

/** The links of the tests' host, by name. */
export async function hostLinks(): Promise<string[]> {
  const links = JSON.parse(await output("ip", "-json", "link")) as { ifname: string }[];
  return links.map(({ ifname }) => ifname);
}
