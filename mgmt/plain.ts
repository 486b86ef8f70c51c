/** Errors as people read them. */

/** What an error says, for people: without the call and number that Deno puts around it. */
export function plain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(/ \(os error \d+\)/, "").replace(/: \w+ '.*'$/, "");
}
