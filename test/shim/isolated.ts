/**
 * Imported first by a test file of this folder: runs that file once more in mount and network namespaces of its own,
 * so that whatever a test mounts, or leaves mounted when it dies, is gone with the process.
 */
import { spawnSync } from "node:child_process";

const mark = "BERTH_TEST_ISOLATED";

if (process.env[mark] === undefined) {
  const file = process.argv[1];
  if (file === undefined) throw new Error("no file to isolate");
  const { status } = spawnSync(
    "unshare",
    [
      "--mount",
      "--net",
      "--propagation=private",
      "--",
      process.execPath,
      ...process.execArgv,
      file,
      ...process.argv.slice(2),
    ],
    { stdio: "inherit", env: { ...process.env, [mark]: "1" } },
  );
  process.exit(status ?? 1);
}
