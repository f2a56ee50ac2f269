import { RuntimeError } from "../core/errors.ts";
import { runProgram } from "./plugin-process.ts";

/** Runs an nft(8) script as one transaction. `subject` begins the error's message; a missing nft is an error too. */
export async function runNft(
  subject: string,
  script: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const what = `${subject}: nft (Debian package nftables)`;
  const outcome = await runProgram(what, ["nft", "-f", "-"], environment, script, signal);
  if ("code" in outcome.exit && outcome.exit.code === 0) return;
  throw new RuntimeError("internal", `${what} failed: ${outcome.stderr.trim()}`);
}
