/** A value as the Lua table that typescript-to-lua makes of it. */
export function luaLiteral(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(luaLiteral).join(",")}}`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${fields.map(([name, field]) => `[${quote(name)}]=${luaLiteral(field)}`).join(",")}}`;
  }
  return typeof value === "string" ? quote(value) : String(value);
}

function quote(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => `\\${byte.toString().padStart(3, "0")}`);
  return `"${bytes.join("")}"`;
}
