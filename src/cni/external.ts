import { RuntimeError, type ErrorCode } from "../core/errors.ts";
import { attachmentEnvironment } from "./args.ts";
import { versionOf } from "./conf.ts";
import { countField, parseJsonObject, stringField, type JsonObject } from "./json.ts";
import type { AttachmentCommand, NetworkCall, Plugin, PluginCall } from "./plugin.ts";
import { runProgram, type ProcessOutcome } from "./plugin-process.ts";
import { readResult, writeResult, type CniResult } from "./result.ts";
import { isVersionAtLeast } from "./version.ts";

/** Where plugins are found, and what they are run with. */
export interface ExternalPluginOptions {
  /** Folders that are searched, in order. */
  readonly folders: readonly string[];
  /** The environment that every plugin gets besides the CNI variables. */
  readonly environment: Readonly<Record<string, string>>;
}

/** CNI spec 1.1, section 5: "Try again later". */
const tryAgainLater = 11;

/** A plugin that is a program: run once a command, as the CNI spec says. */
export function externalPlugin(type: string, path: string, options: ExternalPluginOptions): Plugin {
  const attach = (command: AttachmentCommand, call: PluginCall): Promise<string> => {
    const version = versionOf(call.conf);
    const { prevResult } = call;
    const input =
      prevResult === undefined ? call.conf : { ...call.conf, prevResult: writeResult(prevResult, version) };
    const environment = attachmentEnvironment(command, call, options.folders);
    return run(command, input, environment, call);
  };
  const run = async (
    command: string,
    input: JsonObject,
    variables: Readonly<Record<string, string>>,
    call: Pick<PluginCall, "signal" | "note">,
  ): Promise<string> => {
    const subject = `cni plugin ${type} ${command}`;
    const environment = { ...options.environment, ...variables };
    const outcome = await runProgram(subject, [path], environment, JSON.stringify(input), call.signal);
    call.note(describe(subject, outcome));
    requireExit(subject, outcome);
    return outcome.stdout;
  };
  const runForNetwork = async (
    command: "GC" | "STATUS",
    call: NetworkCall,
    input: JsonObject,
  ): Promise<void> => {
    // Both came with 1.1; an older plugin would take them for a mistake.
    if (!isVersionAtLeast(versionOf(call.conf), "1.1.0")) return;
    await run(command, input, { CNI_COMMAND: command, CNI_PATH: options.folders.join(":") }, call);
  };
  return {
    type,
    add: async (call) => readAddOutput(`cni plugin ${type} ADD`, await attach("ADD", call)),
    del: async (call) => {
      await attach("DEL", call);
    },
    check: async (call) => {
      await attach("CHECK", call);
    },
    gc: (call, valid) => runForNetwork("GC", call, { ...call.conf, "cni.dev/valid-attachments": valid }),
    status: (call) => runForNetwork("STATUS", call, call.conf),
  };
}

function readAddOutput(subject: string, stdout: string): CniResult {
  return asPluginError(subject, () => readResult(parseJsonObject(stdout, subject), subject));
}

/** Rubbish from a plugin is the plugin's fault, not that of the request. */
function asPluginError<T>(subject: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = reason.startsWith(subject) ? reason : `${subject}: ${reason}`;
    throw new RuntimeError("internal", message, { cause: error });
  }
}

function requireExit(subject: string, outcome: ProcessOutcome): void {
  if ("code" in outcome.exit && outcome.exit.code === 0) return;
  const said = errorObject(outcome.stdout);
  const ended = describeExit(outcome);
  if (said !== undefined) {
    const code: ErrorCode = said.code === tryAgainLater ? "unavailable" : "internal";
    throw new RuntimeError(code, `${subject}: ${said.text} (code ${said.code}, ${ended})`);
  }
  const output = outcome.stderr.trim() || outcome.stdout.trim();
  throw new RuntimeError(
    "internal",
    `${subject}: ${ended}${output === "" ? "" : `: ${output.slice(-1024)}`}`,
  );
}

/** The error that a plugin prints as JSON (CNI spec 1.1, section 5); undefined where it printed something else. */
function errorObject(stdout: string): { code: number; text: string } | undefined {
  try {
    const object = parseJsonObject(stdout, "error");
    const message = stringField(object, "msg", "error");
    const details = stringField(object, "details", "error");
    if (message === "" && details === "") return undefined;
    return {
      code: countField(object, "code", "error") ?? 0,
      text: [message, details].filter((part) => part !== "").join("; "),
    };
  } catch {
    return undefined;
  }
}

function describe(subject: string, outcome: ProcessOutcome): string {
  const stderr = outcome.stderr.trim();
  return `${subject}: ${describeExit(outcome)} after ${outcome.elapsedMs} ms${stderr === "" ? "" : `: ${stderr}`}`;
}

function describeExit({ exit }: ProcessOutcome): string {
  return "code" in exit ? `exit ${exit.code}` : `killed by ${exit.signal}`;
}
