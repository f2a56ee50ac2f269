import { RuntimeError } from "../../core/errors.ts";
import { isObject } from "../documents.ts";

/** The `config` of an image's config (OCI image spec, config.md): names and values as JSON has them. */
export type ProcessConfig = Readonly<Record<string, unknown>>;

const instructions: Readonly<Record<string, (config: ProcessConfig, rest: string) => ProcessConfig>> = {
  CMD: (config, rest) => ({ ...config, Cmd: command(rest) }),
  // A command of the image before was made for its entrypoint.
  ENTRYPOINT: (config, rest) => ({ ...config, Entrypoint: command(rest), Cmd: undefined }),
  ENV: (config, rest) => ({ ...config, Env: withVariable(config["Env"], rest) }),
  EXPOSE: (config, rest) => ({
    ...config,
    ExposedPorts: withKeys(config["ExposedPorts"], rest.split(/\s+/).map(port)),
  }),
  LABEL: (config, rest) => ({ ...config, Labels: { ...asObject(config["Labels"]), ...pair(rest) } }),
  STOPSIGNAL: (config, rest) => ({ ...config, StopSignal: rest }),
  USER: (config, rest) => ({ ...config, User: rest }),
  VOLUME: (config, rest) => ({ ...config, Volumes: withKeys(config["Volumes"], words(rest)) }),
  WORKDIR: (config, rest) => ({ ...config, WorkingDir: absolute(rest) }),
};

/**
 * Applies an instruction in a Dockerfile's words to an image's config, as `docker commit --change` takes them: CMD,
 * ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR. Throws `invalid-argument` for any other.
 */
export function applyChange(config: ProcessConfig, change: string): ProcessConfig {
  const [, word = "", rest = ""] = /^\s*(\S+)\s+(.*\S)\s*$/s.exec(change) ?? [];
  const instruction = instructions[word.toUpperCase()];
  if (instruction === undefined) {
    const known = Object.keys(instructions).join(", ");
    throw new RuntimeError(
      "invalid-argument",
      `change ${JSON.stringify(change.slice(0, 200))}: expected one of ${known} and a value`,
    );
  }
  return instruction(config, rest);
}

/** A JSON list is the command itself, any other text is one for a shell. */
function command(rest: string): readonly string[] {
  return list(rest) ?? ["/bin/sh", "-c", rest];
}

function words(rest: string): readonly string[] {
  return list(rest) ?? rest.split(/\s+/);
}

function list(rest: string): readonly string[] | undefined {
  if (!rest.startsWith("[")) return undefined;
  try {
    const parsed: unknown = JSON.parse(rest);
    if (Array.isArray(parsed) && parsed.every((item) => typeof item === "string")) return parsed;
  } catch {
    // Said below.
  }
  throw new RuntimeError("invalid-argument", `${rest.slice(0, 200)} is not a JSON list of strings`);
}

function pair(rest: string): Readonly<Record<string, string>> {
  const [, name = "", value = ""] = /^([^=\s]+)[=\s]\s*(.*)$/s.exec(rest) ?? [];
  if (name === "") throw new RuntimeError("invalid-argument", `${rest.slice(0, 200)} is not NAME=VALUE`);
  return { [name]: value.replace(/^(["'])(.*)\1$/s, "$2") };
}

function withVariable(before: unknown, rest: string): readonly string[] {
  const [[name, value] = ["", ""]] = Object.entries(pair(rest));
  const others = asTexts(before).filter((entry) => !entry.startsWith(`${name}=`));
  return [...others, `${name}=${value}`];
}

function port(text: string): string {
  const [, number = "", protocol = "tcp"] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
  if (Number(number) < 1 || Number(number) > 65535)
    throw new RuntimeError("invalid-argument", `${text} is not a port`);
  return `${number}/${protocol}`;
}

function absolute(path: string): string {
  if (!path.startsWith("/"))
    throw new RuntimeError("invalid-argument", `WORKDIR ${path} is not an absolute path`);
  return path;
}

function withKeys(before: unknown, keys: readonly string[]): object {
  return { ...asObject(before), ...Object.fromEntries(keys.map((key) => [key, {}])) };
}

function asObject(value: unknown): object {
  return isObject(value) ? value : {};
}

function asTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}
