import { createServer, request as send, type IncomingHttpHeaders } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

/** A request that the proxy got: `CONNECT host:port` or `GET http://…`. */
export interface ProxiedRequest {
  readonly line: string;
  readonly headers: IncomingHttpHeaders;
}

/** A forward proxy on loopback that leads every name to one place; `status` other than 200 refuses tunnels. */
export interface TestProxy extends AsyncDisposable {
  readonly host: string;
  readonly seen: ProxiedRequest[];
  status: number;
}

/** Starts the proxy; `target` is `127.0.0.1:port`. */
export async function startProxy(target: string): Promise<TestProxy> {
  const [hostname, port] = target.split(":");
  const seen: ProxiedRequest[] = [];
  const sockets = new Set<Socket>();
  const proxy = { status: 200 };
  const server = createServer((request, response) => {
    seen.push({ line: `${request.method ?? ""} ${request.url ?? ""}`, headers: request.headers });
    const { pathname, search, host } = new URL(request.url ?? "");
    const { "proxy-authorization": _proxy, ...headers } = request.headers;
    const options = {
      hostname,
      port,
      path: pathname + search,
      method: request.method,
      headers: { ...headers, host },
    };
    const onward = send(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, socket: Socket) => {
    seen.push({ line: `CONNECT ${request.url ?? ""}`, headers: request.headers });
    if (proxy.status !== 200) {
      socket.end(`HTTP/1.1 ${proxy.status} No\r\n\r\n`);
      return;
    }
    const onward = connect(Number(port), hostname ?? "", () => {
      socket.write("HTTP/1.1 200 Established\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        socket.destroy();
        onward.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(proxy, {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
