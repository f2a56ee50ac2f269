/** What one waiting piece costs beyond its bytes, so that a client's one-byte frames are counted as what they hold. */
const pieceOverheadBytes = 128;

/**
 * Bytes on their way from a client to the one that reads them, in order; one reader.
 *
 * ```
 *   open ── end() ──► ended (what is held is still read) ──► read to its end
 *     └──── discard() ──► discarding (held bytes dropped, later ones too; the reader sees the end)
 * ```
 */
export class ByteQueue implements AsyncIterable<Buffer> {
  readonly #limitBytes: number;
  readonly #taken: (bytes: number) => void;
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #state: "open" | "ended" | "discarding" = "open";
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** `taken` is told how many bytes were read or dropped, so that a sender can be given new credit. */
  constructor(limitBytes: number, taken: (bytes: number) => void = () => undefined) {
    this.#limitBytes = limitBytes;
    this.#taken = taken;
  }

  /** True while more is held than the limit: the sender is to be stopped. */
  get isFull(): boolean {
    return this.#heldBytes > this.#limitBytes;
  }

  /** True once no more bytes come or count. */
  get isOver(): boolean {
    return this.#state !== "open";
  }

  /** Adds bytes; after the end they are dropped. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#state !== "open") {
      this.#taken(bytes.length);
      return;
    }
    this.#pieces.push(bytes);
    this.#heldBytes += bytes.length + pieceOverheadBytes;
    this.#wakeReader?.();
  }

  /** Says that no more bytes come. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  /** Drops what is held and what comes; a reader sees the end at once. */
  discard(): void {
    this.#state = "discarding";
    const dropped = this.#pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#wakeReader?.();
    this.#wakeWriter?.();
    if (dropped > 0) this.#taken(dropped);
  }

  /** Resolves when the queue is no longer full, or over. */
  async room(): Promise<void> {
    while (this.isFull && this.#state === "open") {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
      this.#wakeWriter = undefined;
    }
  }

  /** Reads to the end; a reader that leaves before it has what comes dropped, so that it stops nobody. */
  async *[Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece === undefined && this.#state !== "open") return undefined;
        if (piece === undefined) {
          await this.#arrival();
          continue;
        }
        this.#heldBytes -= piece.length + pieceOverheadBytes;
        if (!this.isFull) this.#wakeWriter?.();
        this.#taken(piece.length);
        yield piece;
      }
    } finally {
      this.discard();
    }
  }

  async #arrival(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wakeReader = resolve;
    });
    this.#wakeReader = undefined;
  }
}
