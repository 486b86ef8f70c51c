/** Lists of options as mount(8) writes them. */

/**
 * The options that stand between commas; those between quotation marks are a part of a value, and the
 * marks stay: `acl,context="u:r:t:s0:c1,c2"` are two.
 */
export function mountWords(text: string): string[] {
  return text.match(/([^,"]|"[^"]*"?)+/g) ?? [];
}
