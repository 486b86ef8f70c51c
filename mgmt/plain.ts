/** Errors as people read them. */

/** What an error says, for people: without the call and number that Deno puts around it. */
export function plain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(/ \(os error \d+\)/, "").replace(/: \w+ '.*'$/, "");
}

/** What was wrong, of a message "Cannot ⟨verb⟩ ⟨thing⟩: …", for a message that says the rest better. */
export function cause(message: string): string {
  return message.replace(/^Cannot (read volfile: |build )/, "");
}

/**
 * Whether the operating system said no, rather than something of ours being wrong: its errors have a
 * code such as "ENOSPC"; ours and bugs do not.
 */
export function isOfSystem(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}
