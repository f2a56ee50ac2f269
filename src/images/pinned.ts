/** True where a reference matches one of the operator's patterns, in which `*` stands for any text. */
export function isPinned(reference: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(reference, pattern));
}

function matches(reference: string, pattern: string): boolean {
  const literal = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`).test(reference);
}
