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

/** Starts a server inside a namespace that tells each client the address it sees. */
export async function serve(namespace: TestNamespace, port: number): Promise<AsyncDisposable> {
  const command = [`--net=${namespace.path}`, process.execPath, "-e", serverScript, String(port)];
  const child = spawn("nsenter", command, { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** Connects from inside a namespace and gives what the server said: the address it saw. */
export function ask(namespace: TestNamespace, address: string, port: number): Promise<string> {
  return namespace
    .run(process.execPath, "-e", clientScript, address, String(port))
    .then((text) => text.replace("::ffff:", ""));
}

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
