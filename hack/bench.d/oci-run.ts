import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { berthOci, OciHost } from "../../test/oci/runtime.ts";

const rounds = Number(process.argv[2] ?? "50");
const runtimes = [berthOci, "crun", "runc"].filter((name) => spawnSync(name, ["--version"]).status === 0);
const records = mkdtempSync(join(tmpdir(), "berth-bench-oci-"));
using host = new OciHost();
const bundle = host.bundle(["/bin/true"]);
const samples = new Map<string, number[]>(runtimes.map((name) => [name, []]));

try {
  for (let round = 0; round < rounds; round++) {
    for (const name of runtimes) {
      const begun = process.hrtime.bigint();
      const ended = spawnSync(name, ["--root", records, "run", "--bundle", bundle, `b${round}`], {
        stdio: "ignore",
      });
      if (ended.status !== 0) throw new Error(`${name}: status ${ended.status ?? "none"}`);
      samples.get(name)?.push(Number(process.hrtime.bigint() - begun) / 1e6);
    }
  }
} finally {
  rmSync(records, { recursive: true, force: true });
}
for (const [name, all] of samples) {
  const sorted = all.toSorted((a, b) => a - b);
  const [best = 0, median = 0] = [sorted[0], sorted[Math.floor(sorted.length / 2)]];
  process.stdout.write(`${name}: median ${median.toFixed(1)} ms, best ${best.toFixed(1)} ms of ${rounds}\n`);
}
