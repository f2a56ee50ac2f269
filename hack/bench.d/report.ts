import { cpus, loadavg, release } from "node:os";
import type { Options } from "./options.ts";
import type { Goal, Row } from "./rows.ts";
import type { Samples } from "./samples.ts";
import { summarize, type Summary } from "./statistics.ts";

/** What a row came to. */
export type Verdict = "met" | "missed" | "";

/** The table: medians and p99 of each runtime, Berth's median beside each peer's, and the goal. */
export function tableText(options: Options, all: readonly Samples[]): string {
  const [berth, ...peers] = all;
  if (berth === undefined) return "";
  const head = [
    "",
    "unit",
    ...all.map(({ runtime }) => runtime.name),
    ...peers.map(({ runtime }) => `to ${runtime.name}`),
    "goal",
    "",
  ];
  const body = options.rows.map((row) => {
    const own = summarize(berth.of(row.name));
    return [
      row.title,
      row.unit,
      ...all.map((samples) => cell(summarize(samples.of(row.name)))),
      ...peers.map((samples) => ratioText(own, summarize(samples.of(row.name)))),
      goalText(row.goal),
      verdictOf(row, all),
    ];
  });
  return layOut([head, ...body]);
}

/** The machine, the runtimes, and what one should know to read the table. */
export function headText(options: Options, all: readonly Samples[]): string {
  const model = cpus()[0]?.model ?? "unknown CPU";
  const load = loadavg().map((value) => value.toFixed(2));
  return [
    `${cpus().length} x ${model}, Linux ${release()}, Node ${process.versions.node}, load ${load.join(" ")}`,
    ...all.map(({ runtime }) => `${runtime.name}: ${runtime.version}`),
    `median / p99 of up to ${options.rounds} rounds; Pss with 50 alive; log of ${options.logBytes / 1e6} MB in lines of 100 bytes`,
    "",
  ].join("\n");
}

/** Failed steps, one a line; empty where there are none. */
export function failuresText(all: readonly Samples[]): string {
  return all
    .filter(({ failure }) => failure !== undefined)
    .map(({ runtime, failure }) => `${runtime.name} failed, its figures are left out: ${failure ?? ""}\n`)
    .join("");
}

/** Everything, with every sample, for programs. */
export function asJson(options: Options, all: readonly Samples[]): string {
  const report = {
    at: new Date().toISOString(),
    machine: { cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), load: loadavg() },
    rounds: options.rounds,
    logBytes: options.logBytes,
    runtimes: all.map(({ runtime, failure }) => ({ name: runtime.name, version: runtime.version, failure })),
    rows: options.rows.map((row) => ({
      ...row,
      verdict: verdictOf(row, all),
      runtimes: Object.fromEntries(
        all.map((samples) => [
          samples.runtime.name,
          { ...summarize(samples.of(row.name)), samples: samples.of(row.name) },
        ]),
      ),
    })),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** Whether Berth keeps to the goal; nothing where there is no goal or a figure is missing. */
export function verdictOf(row: Row, all: readonly Samples[]): Verdict {
  const { goal } = row;
  const own = summarize(all[0]?.of(row.name) ?? []);
  if (goal === undefined || own === undefined) return "";
  if (goal.kind === "p99") return own.p99 <= goal.most ? "met" : "missed";
  if (goal.kind === "value") return own.median <= goal.most ? "met" : "missed";
  const peer = summarize(all.find(({ runtime }) => runtime.name === goal.peer)?.of(row.name) ?? []);
  if (peer === undefined) return "";
  return own.median <= peer.median * goal.most ? "met" : "missed";
}

function goalText(goal: Goal | undefined): string {
  if (goal === undefined) return "";
  if (goal.kind === "ratio") return `<= ${fraction(goal.most)}`;
  return `${goal.kind === "p99" ? "p99 " : ""}<= ${goal.most.toFixed(2)}`;
}

function ratioText(own: Summary | undefined, peer: Summary | undefined): string {
  return own === undefined || peer === undefined ? "-" : fraction(own.median / peer.median);
}

/** A third is 1/3.0, three quarters are 0.75, three times is 3.0. */
function fraction(ratio: number): string {
  if (ratio > 0.5) return ratio.toFixed(2);
  const denominator = 1 / ratio;
  return `1/${Number.isInteger(denominator) ? denominator : denominator.toFixed(1)}`;
}

function cell(summary: Summary | undefined): string {
  return summary === undefined ? "-" : `${digits(summary.median)} / ${digits(summary.p99)}`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function layOut(lines: readonly (readonly string[])[]): string {
  const width = (column: number): number => Math.max(...lines.map((line) => line[column]?.length ?? 0));
  return lines
    .map((line) =>
      line
        .map((text, column) => (column < 2 ? text.padEnd(width(column)) : text.padStart(width(column))))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}
