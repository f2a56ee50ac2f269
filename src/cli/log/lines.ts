/** A line beyond this is given out in pieces, so that a file that is no log can't take all memory. */
const maxLineBytes = 4 * 1024 * 1024;

const newline = 0x0a;

/** Cuts a stream of bytes into lines; what has no newline yet waits for more. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that end in `bytes`, without their newlines. */
  push(bytes: Buffer): Buffer[] {
    const text = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = text.indexOf(newline); end >= 0; end = text.indexOf(newline, start)) {
      lines.push(text.subarray(start, end));
      start = end + 1;
    }
    // A copy: the reader fills its buffer anew.
    this.#rest = Buffer.from(text.subarray(start));
    if (this.#rest.length > maxLineBytes) lines.push(this.finish());
    return lines;
  }

  /** What is left when no more comes; empty where the last byte was a newline. */
  finish(): Buffer {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return rest;
  }
}
