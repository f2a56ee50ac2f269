/** Takes back what was done when a later step fails: last first, each step whatever the others do. */
export class Undo {
  private steps: (() => void)[] = [];

  defer(step: () => void): void {
    this.steps.push(step);
  }

  run(): void {
    for (;;) {
      const step = this.steps.pop();
      if (step === undefined) return;
      pcall(step);
    }
  }
}
