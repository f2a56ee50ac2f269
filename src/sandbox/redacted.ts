/** Stands for what is not to be shown. */
const instead = "<redacted>";

/** Name and password of a URL (RFC 3986, userinfo). */
const userInfo = /:\/\/[^/@\s]+@/g;

/** A configuration to be shown: credentials that somebody wrote into an address are taken out. */
export function redacted(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll(userInfo, `://${instead}@`);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redacted(inner)]));
}
