/** The cells of a line. */
export type Row = readonly string[];

/** What separates two columns. */
const gap = "   ";

/** Lines with aligned columns, the head first; control characters are made visible. */
export function table(head: Row, rows: readonly Row[]): string {
  const lines = [head, ...rows.map((row) => row.map((cell) => (cell === "" ? "-" : printable(cell))))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(gap)
        .trimEnd(),
    )
    .join("\n");
}

/** Names and values below one another, values aligned. */
export function fields(entries: readonly (readonly [string, string])[], indent = ""): string {
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${indent}${name.padEnd(width)}  ${printable(value)}`).join("\n");
}

/** Text from outside without what would move the cursor or colour the terminal (CWE-150). */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(2, "0");
    return `\\x${code}`;
  });
}
