/**
 * Makes src/cri/types/ (not committed) from api/: the message types that handlers and the client are checked against.
 * Skipped when nothing in api/ is newer than the last run.
 */
import { execFileSync } from "node:child_process";
import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const target = join(root, "src/cri/types");
const sources = ["api/runtime/v1/api.proto", "api/berth/v1/admin.proto"];

const stamp = join(target, "api.ts");
const newest = Math.max(...sources.map((source) => statSync(join(root, source)).mtimeMs));
if (!existsSync(stamp) || statSync(stamp).mtimeMs < newest) {
  rmSync(target, { recursive: true, force: true });
  execFileSync(
    join(root, "node_modules/.bin/proto-loader-gen-types"),
    [
      "--keepCase",
      "--longs=String",
      "--enums=String",
      "--defaults",
      "--oneofs",
      "--grpcLib=@grpc/grpc-js",
      "--importFileExtension=.ts",
      "--inputTemplate=%s",
      "--outputTemplate=%s__Output",
      `--outDir=${target}`,
      ...sources.map((source) => join(root, source)),
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
}
