import { parseArgs } from "node:util";
import { rows, type Phase, type Row } from "./rows.ts";

/** What one run measures and how much of it. */
export interface Options {
  readonly peers: readonly Peer[];
  readonly rows: readonly Row[];
  readonly phases: ReadonlySet<Phase>;
  /** Rounds of the life of a pod, each of which is one sample of most rows. */
  readonly rounds: number;
  /** No round begins after so long, however many are left: what a busy machine gets done is measured. */
  readonly roundsBudgetMs: number;
  /** Pulls of each image. */
  readonly pullRounds: number;
  /** Written by one container. */
  readonly logBytes: number;
  /** The run is ended after so long. */
  readonly timeoutMs: number;
  readonly json: string | undefined;
}

/** A containerd and the OCI runtime that it uses. */
export type Peer = "containerd-runc" | "containerd-crun";

/** Wrong usage: the text says what is wrong. */
export class UsageError extends Error {}

const knownPeers: readonly Peer[] = ["containerd-runc", "containerd-crun"];
const maxRounds = 10_000;
const minute = 60_000;

const full = {
  rounds: 100,
  roundsBudgetMs: 6 * minute,
  pullRounds: 7,
  logBytes: 1_000_000_000,
  timeoutMs: 20 * minute,
};
const quick = {
  rounds: 20,
  roundsBudgetMs: minute / 2,
  pullRounds: 2,
  logBytes: 200_000_000,
  timeoutMs: 3 * minute,
};

/** Five hundred pods and large images take their time. */
const quickRows = rows.filter(({ phase }) => phase !== "lists" && phase !== "pulls");

/** Reads the command line; "help" where that is asked for. */
export function readOptions(argv: readonly string[]): Options | "help" {
  const { values } = parse(argv);
  if (values.help) return "help";
  const amount = values.quick ? quick : full;
  const chosen = values.quick && values.only === undefined ? quickRows : readRows(values.only);
  return {
    ...amount,
    ...(values.rounds === undefined ? {} : { rounds: readRounds(values.rounds) }),
    peers: readPeers(values.peers),
    rows: chosen,
    phases: new Set(chosen.map((row) => row.phase)),
    json: values.json,
  };
}

/** How to use it, and the names of the rows. */
export function helpText(): string {
  return [
    "usage: hack/bench [--peers containerd-runc,containerd-crun] [--only NAME,...] [--quick] [-n N] [--json FILE]",
    "",
    "Rows:",
    ...rows.map((row) => `  ${row.name.padEnd(14)}${row.title}`),
    "",
  ].join("\n");
}

function parse(argv: readonly string[]): {
  readonly values: {
    readonly peers: string;
    readonly only?: string;
    readonly quick: boolean;
    readonly rounds?: string;
    readonly json?: string;
    readonly help: boolean;
  };
} {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        peers: { type: "string", default: "containerd-runc" },
        only: { type: "string" },
        quick: { type: "boolean", default: false },
        rounds: { type: "string", short: "n" },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function readPeers(text: string): Peer[] {
  if (text === "none") return [];
  return [...new Set(text.split(","))].map((name) => {
    const peer = knownPeers.find((known) => known === name);
    if (peer === undefined)
      throw new UsageError(`--peers: no ${JSON.stringify(name)}; there is ${knownPeers.join(", ")}, none`);
    return peer;
  });
}

function readRows(text: string | undefined): readonly Row[] {
  if (text === undefined) return rows;
  const names = new Set(text.split(","));
  for (const name of names) {
    if (!rows.some((row) => row.name === name))
      throw new UsageError(
        `--only: no ${JSON.stringify(name)}; there is ${rows.map((row) => row.name).join(", ")}`,
      );
  }
  return rows.filter((row) => names.has(row.name));
}

function readRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > maxRounds)
    throw new UsageError(`-n: expected a whole number from 1 to ${maxRounds}, not ${JSON.stringify(text)}`);
  return rounds;
}
