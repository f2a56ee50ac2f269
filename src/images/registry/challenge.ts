/** One way to authenticate that a server offers (RFC 9110 11.6.1). */
export interface Challenge {
  /** Lower case, such as `bearer` or `basic`. */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Bytes of a WWW-Authenticate header that are looked at. */
const maxHeaderLength = 8192;

/** Reads every challenge of a WWW-Authenticate header; text that is none is skipped. */
export function parseChallenges(header: string): readonly Challenge[] {
  const token = /\s*,?\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;
  const text = header.slice(0, maxHeaderLength);
  const found: { scheme: string; parameters: Record<string, string> }[] = [];
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [, name = "", assignment, quoted, bare] = match;
    if (assignment === undefined) found.push({ scheme: name.toLowerCase(), parameters: {} });
    else {
      const value = quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
      const current = found.at(-1);
      if (current !== undefined) current.parameters[name.toLowerCase()] ??= value;
    }
  }
  return found;
}
