/** Lines, and their bytes as they stand in a log: time and tag included. */
export class Loss {
  lines = 0;
  bytes = 0;

  add(lines: number, bytes: number): void {
    this.lines = this.lines + lines;
    this.bytes = this.bytes + bytes;
  }

  /** Adds all of `other`, which is empty afterwards. */
  take(other: Loss): void {
    this.add(other.lines, other.bytes);
    other.clear();
  }

  clear(): void {
    this.lines = 0;
    this.bytes = 0;
  }
}
