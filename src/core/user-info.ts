/** Stands for what is not to be shown. */
const instead = "<redacted>";

/** Name and password of a URL (RFC 3986, userinfo). */
const inUrl = /:\/\/[^/@\s]+@/g;

/** The same before an image's name, where a digest is the only thing that an `@` may stand before. */
const inReference = /^[^@]*:.*@(?!sha256:)/s;

/** A text to be shown or kept, without the credentials that somebody wrote into an address. */
export function withoutUserInfo(text: string): string {
  return text.replaceAll(inUrl, `://${instead}@`);
}

/** An image reference to be shown or kept, valid or not, without credentials that somebody wrote into it. */
export function referenceToShow(text: string): string {
  return withoutUserInfo(text).replace(inReference, `${instead}@`);
}
