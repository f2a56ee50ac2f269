import type { TerminalSize } from "./backend.ts";

/** Bytes of one size message; the longest that says anything is far shorter. */
const maxSizeMessageBytes = 1_024;

/** The largest size that a terminal can be set to (struct winsize, ioctl_tty(2)). */
const maxCharacters = 65_535;

/** Sizes out of a stream of JSON objects `{"Width":80,"Height":24}`, which may be cut anywhere; ends at the first other thing. */
export async function* decodeTerminalSizes(source: AsyncIterable<Buffer>): AsyncGenerator<TerminalSize> {
  let text = "";
  for await (const bytes of source) {
    text += bytes.toString("latin1");
    for (let end = text.indexOf("}"); end !== -1; end = text.indexOf("}")) {
      const size = parseTerminalSize(text.slice(0, end + 1));
      if (size === undefined) return;
      yield size;
      text = text.slice(end + 1);
    }
    if (text.length > maxSizeMessageBytes) return;
  }
}

function parseTerminalSize(text: string): TerminalSize | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map(
    Object.entries(value).map(([name, field]) => [name.toLowerCase(), field as unknown]),
  );
  const cols = fields.get("width");
  const rows = fields.get("height");
  return isCount(cols) && isCount(rows) ? { rows, cols } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maxCharacters;
}
