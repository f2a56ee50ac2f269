const gap = 3;

/** Rows of words in columns. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((word, column) => {
      widths[column] = Math.max(widths[column] ?? 0, word.length + gap);
    });
  }
  const lines = rows.map((row) => {
    const words = row.map((word, column) =>
      column === row.length - 1 ? word : word + string.rep(" ", (widths[column] ?? 0) - word.length),
    );
    return `${words.join("")}\n`;
  });
  return lines.join("");
}
