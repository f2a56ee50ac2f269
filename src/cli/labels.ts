import { RuntimeError } from "../core/errors.ts";

/** Reads `KEY=VALUE` words; throws `invalid-argument`. */
export function readLabels(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.map((word) => readPair("label", word)));
}

/** Splits at the first equals sign; throws `invalid-argument` naming the option where there is none. */
export function readPair(option: string, word: string): [key: string, value: string] {
  const equals = word.indexOf("=");
  if (equals <= 0) {
    throw new RuntimeError(
      "invalid-argument",
      `--${option}: expected KEY=VALUE, not ${JSON.stringify(word)}`,
    );
  }
  return [word.slice(0, equals), word.slice(equals + 1)];
}
