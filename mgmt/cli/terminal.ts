/** What a command line says and hears. */

/** Writes all of `text`. Who reads may go away early (`| head`): then the rest is not wanted. */
export function say(text: string, to: typeof Deno.stdout | typeof Deno.stderr = Deno.stdout): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) sent += to.writeSync(bytes.subarray(sent));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Standard input, a line at a time. */
export class Lines {
  #text = "";
  #ended = false;
  readonly #decoder = new TextDecoder();
  readonly #chunk = new Uint8Array(4096);

  /** The next line without its newline; undefined at the end. */
  next(): string | undefined {
    for (;;) {
      const newline = this.#text.indexOf("\n");
      if (newline >= 0) return this.#cut(newline, newline + 1);
      if (this.#ended) return this.#text === "" ? undefined : this.#cut(this.#text.length);
      const size = Deno.stdin.readSync(this.#chunk);
      if (size === null) this.#ended = true;
      else this.#text += this.#decoder.decode(this.#chunk.subarray(0, size), { stream: true });
    }
  }

  #cut(end: number, next = end): string {
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(next);
    return line;
  }
}

/** The answer to a question: yes, no, something else, or (undefined) none. */
export function confirmation(line: string | undefined): "yes" | "no" | "unclear" | undefined {
  if (line === undefined) return undefined;
  const word = line.trim().toLowerCase();
  if (word === "y" || word === "yes") return "yes";
  return word === "n" || word === "no" ? "no" : "unclear";
}
