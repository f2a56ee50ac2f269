// The declarations of Lua's library say that a pattern is always found; these say what comes back.

/** True where a Lua pattern occurs in the text. @see Lua 5.1 manual 5.4.1 */
export function matches(text: string, pattern: string): boolean {
  const [start] = string.find(text, pattern);
  return (start as number | undefined) !== undefined;
}

/** Where `what` occurs in the text at or after `from`, counted from 1; undefined where it does not. */
export function indexOf(text: string, what: string, from: number): number | undefined {
  const [start] = string.find(text, what, from, true);
  return start;
}

/** A pattern's end and its first capture, searched from `from` on; undefined where it does not occur. */
export function capture(
  text: string,
  pattern: string,
  from: number,
): { readonly last: number; readonly text: string } | undefined {
  const [start, last, found] = string.find(text, pattern, from);
  return (start as number | undefined) === undefined ? undefined : { last, text: found as string };
}
