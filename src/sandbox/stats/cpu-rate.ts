/** A rate over less than this is noise: a second reader shortly after another is given the other's. */
const minWindowNanoseconds = 1_000_000_000n;

/** A rate over more than this tells nothing of the present. */
const maxWindowNanoseconds = 120_000_000_000n;

const nanosecondsPerSecond = 1_000_000_000n;

/** How fast CPU time goes by, from one sample to the next; one of these belongs to one cgroup. */
export class CpuRate {
  #sample: { readonly at: bigint; readonly used: bigint } | undefined;
  #rate: bigint | undefined;

  /**
   * Takes a sample: `at` on a clock that is never set back, `used` the CPU time so far, both in nanoseconds. Gives
   * nanoseconds of CPU a second since an earlier sample; undefined where there is none to compare with.
   */
  next(at: bigint, used: bigint): bigint | undefined {
    const before = this.#sample;
    const passed = before === undefined ? undefined : at - before.at;
    if (passed !== undefined && passed < minWindowNanoseconds) return this.#rate;
    this.#sample = { at, used };
    const comparable =
      before !== undefined && passed !== undefined && passed <= maxWindowNanoseconds && used >= before.used;
    this.#rate = comparable ? ((used - before.used) * nanosecondsPerSecond) / passed : undefined;
    return this.#rate;
  }
}
