import "./isolated.ts";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TestHost } from "./host.ts";

const skip = existsSync("/usr/bin/strace") ? false : "strace is not installed";

test(
  "strace: after pivot_root init opens the working folder and /dev/null; between seccomp and execve is nothing",
  { skip },
  async () => {
    await using host = await TestHost.start();
    const filter = join(host.folder, "allow.bpf");
    // ret SECCOMP_RET_ALLOW
    writeFileSync(filter, Buffer.from("060000000000ff7f", "hex"));
    const trace = join(host.folder, "trace");
    const tracer = spawn("strace", ["-f", "-o", trace, "-p", String(launcherOf(host))], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    await once(tracer.stderr, "data");
    await host.run(["true"], { request: { seccompFilter: { path: filter, flags: [] } } });
    tracer.kill("SIGINT");
    await once(tracer, "exit");
    const lines = readFileSync(trace, "utf8").split("\n");
    const init = lines.find((line) => line.includes("pivot_root("))?.split(" ")[0] ?? "";
    const calls = lines
      .filter((line) => line.startsWith(`${init} `))
      .map((line) => line.slice(init.length).trim());
    const from = calls.findIndex((call) => call.startsWith("pivot_root("));
    const to = calls.findIndex((call) => call.startsWith("execve("));
    const opened = calls
      .slice(from, to)
      .filter((call) => /^(open|openat|openat2|connect|socket)\(/.test(call));
    assert.deepEqual(
      opened.map((call) => /"([^"]*)"/.exec(call)?.[1]),
      ["/", "/", "/dev/null"],
    );
    assert.match(calls[to - 1] ?? "", /^seccomp\(SECCOMP_SET_MODE_FILTER/);
    const closing = calls.findIndex((call) =>
      call.startsWith("close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)"),
    );
    assert.ok(closing > from && closing < to, "close_range before execve");
  },
);

function launcherOf(host: TestHost): number {
  const folder = join(host.folder, "launcher");
  const found = readdirSync("/proc").find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const args = existsSync(`/proc/${pid}/cmdline`)
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
      : [];
    return args[0] === "berth-launcher" && args[3] === folder;
  });
  return Number(found);
}
