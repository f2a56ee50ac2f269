/** Where a list goes on: the Link header's `rel="next"` (RFC 8288), relative to the URL that answered. */
export function nextPage(header: string | string[] | undefined, from: URL): URL | undefined {
  const text = Array.isArray(header) ? header.join(", ") : (header ?? "");
  for (const [, target = "", parameters = ""] of text.slice(0, maxLength).matchAll(link)) {
    if (/;\s*rel\s*=\s*"?(?:[^";]*\s)?next(?:\s[^";]*)?"?\s*(?:;|$)/i.test(parameters)) {
      return URL.parse(target, from) ?? undefined;
    }
  }
  return undefined;
}

const maxLength = 8192;
/** `<target>; name="value"; name=value`, as long as no comma begins the next one. */
const link = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)/g;
