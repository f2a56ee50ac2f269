import { withoutUserInfo } from "../core/user-info.ts";

/** A configuration to be shown: credentials that somebody wrote into an address are taken out. */
export function redacted(value: unknown): unknown {
  if (typeof value === "string") return withoutUserInfo(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redacted(inner)]));
}
