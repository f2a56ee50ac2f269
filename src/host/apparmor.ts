import { spawn } from "node:child_process";
import { once } from "node:events";
import type { LsmFacts } from "../oci/index.ts";
import { defaultProfile, defaultProfileName } from "./apparmor-profile.ts";

/** Compiles and loads profiles (apparmor_parser(8)); the kernel takes no text. */
const parser = "apparmor_parser";

const parserTimeoutMs = 30_000;

/** Characters of its complaint that are shown. */
const maxComplaint = 1000;

/** Whether `RuntimeDefault` has a profile on this host, or why not. */
export type DefaultProfile = Pick<LsmFacts, "apparmorDefault" | "apparmorProblem">;

/** Loads the default profile into a kernel that has AppArmor, in the place of an older one. */
export async function loadDefaultProfile(environment: NodeJS.ProcessEnv): Promise<DefaultProfile> {
  try {
    await runParser(defaultProfile(), environment);
    return { apparmorDefault: defaultProfileName };
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? `${parser} (Debian package apparmor) is not installed` : message;
    return { apparmorProblem: reason };
  }
}

async function runParser(text: string, environment: NodeJS.ProcessEnv): Promise<void> {
  // systemd gives services a PATH with the sbin folders; a shell of a user may not.
  const env = { ...environment, PATH: `${environment["PATH"] ?? ""}:/usr/sbin:/sbin` };
  const child = spawn(parser, ["--replace", "--skip-cache", "--skip-read-cache"], {
    env,
    stdio: ["pipe", "ignore", "pipe"],
    timeout: parserTimeoutMs,
    killSignal: "SIGKILL",
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    complaint = (complaint + part).slice(0, maxComplaint);
  });
  // It may end before it has read everything; its status tells.
  child.stdin.on("error", () => undefined);
  child.stdin.end(text);
  const [status, signal] = (await once(child, "close")) as [number | null, string | null];
  if (status !== 0) throw new Error(`${parser}: ${signal ?? `exit ${status ?? "?"}`}: ${complaint.trim()}`);
}
