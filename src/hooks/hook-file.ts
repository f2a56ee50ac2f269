import {
  bad,
  readList,
  readObject,
  readOptionalText,
  readPath,
  readText,
  readVariable,
  readWhole,
} from "../core/document-fields.ts";
import type { SpecHook, SpecHooks } from "../core/oci-runtime-spec.ts";

/** When in a container's life a hook runs. */
export type HookStage = keyof SpecHooks;

/** A hook of a file, and which containers get it. */
export interface HookFile {
  readonly hook: SpecHook;
  readonly stages: readonly HookStage[];
  /** What of it is given must all be so. */
  readonly when: HookConditions;
}

/** Conditions of a file; at least one is given. */
export interface HookConditions {
  readonly always?: boolean;
  readonly hasBindMounts?: boolean;
  /** The program matches one of these. */
  readonly commands?: readonly RegExp[];
  /** For each there is an annotation whose key and value match. */
  readonly annotations?: readonly (readonly [key: RegExp, value: RegExp])[];
}

/** What conditions are held against. */
export interface HookSubject {
  /** The program: the first of the process's arguments. */
  readonly command: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** The request mounts something of the node. */
  readonly hasBindMounts: boolean;
}

const stages: readonly HookStage[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/** Seconds; a day is no hook any more. */
const maxTimeoutSeconds = 86_400;

/**
 * Reads a hook's file, version 1.0.0; throws `invalid-argument` with the place of what is wrong.
 *
 * @see https://github.com/containers/common/blob/main/pkg/hooks/docs/oci-hooks.5.md
 */
export function parseHookFile(text: string): HookFile {
  const file = readObject(parseJson(text), "file", ["version", "hook", "when", "stages"]);
  if (file["version"] !== "1.0.0") bad("version", `${JSON.stringify(file["version"])} is not 1.0.0`);
  const hook = readObject(file["hook"], "hook", ["path", "args", "env", "timeout"]);
  const timeout = readWhole(hook["timeout"], "hook.timeout", maxTimeoutSeconds);
  const read = readList(file["stages"], "stages", readStage);
  if (read.length === 0) bad("stages", "empty");
  return {
    hook: {
      path: readPath(hook["path"], "hook.path"),
      args: readList(hook["args"], "hook.args", readText),
      env: readList(hook["env"], "hook.env", readVariable),
      ...(timeout === undefined || timeout === 0 ? {} : { timeout }),
    },
    stages: [...new Set(read)],
    when: readConditions(file["when"]),
  };
}

/** Whether a container gets the hook. */
export function matches(when: HookConditions, subject: HookSubject): boolean {
  const { always = true, hasBindMounts = subject.hasBindMounts, commands, annotations = [] } = when;
  const entries = Object.entries(subject.annotations);
  return (
    always &&
    hasBindMounts === subject.hasBindMounts &&
    (commands?.some((pattern) => pattern.test(subject.command)) ?? true) &&
    annotations.every(([key, value]) => entries.some(([name, text]) => key.test(name) && value.test(text)))
  );
}

function readConditions(value: unknown): HookConditions {
  const when = readObject(value, "when", ["always", "annotations", "commands", "hasBindMounts"]);
  const always = readFlag(when["always"], "when.always");
  const hasBindMounts = readFlag(when["hasBindMounts"], "when.hasBindMounts");
  const commands = readList(when["commands"], "when.commands", readPattern);
  const annotations = when["annotations"] ?? {};
  if (typeof annotations !== "object" || Array.isArray(annotations)) bad("when.annotations", "not an object");
  const pairs = Object.entries(annotations).map(
    ([key, text]) =>
      [readPattern(key, "when.annotations"), readPattern(text, `when.annotations.${key}`)] as const,
  );
  const conditions = {
    ...(always === undefined ? {} : { always }),
    ...(hasBindMounts === undefined ? {} : { hasBindMounts }),
    ...(commands.length === 0 ? {} : { commands }),
    ...(pairs.length === 0 ? {} : { annotations: pairs }),
  };
  return Object.keys(conditions).length === 0 ? bad("when", "says nothing") : conditions;
}

function readFlag(value: unknown, where: string): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "boolean" ? value : bad(where, "neither true nor false");
}

function readPattern(value: unknown, where: string): RegExp {
  const text = readText(value, where);
  try {
    return new RegExp(text);
  } catch {
    return bad(where, `${JSON.stringify(text)} is no regular expression`);
  }
}

function readStage(value: unknown, where: string): HookStage {
  const text = readOptionalText(value, where);
  return (
    stages.find((stage) => stage === text) ??
    bad(where, `${JSON.stringify(value)} is none of ${stages.join(", ")}`)
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return bad("file", "no JSON");
  }
}
