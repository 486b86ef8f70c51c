/** A daemon of ours as a process: what it says, line by line, and how it ends. */

import { Changing } from "tests/e2e/changing.ts";
import { PATIENCE_MS } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** `mortar ARGS…`, started. */
export class DaemonProcess implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #output = new Changing();

  /** `inside`: makes of the command line one that runs elsewhere, such as in a namespace. */
  constructor(
    args: readonly string[],
    env: Record<string, string> = {},
    inside: (argv: readonly string[]) => readonly string[] = (argv) => argv,
  ) {
    const [program, ...rest] = inside([MORTAR, ...args]);
    this.#child = new Deno.Command(program!, {
      args: rest,
      env: { DENO: Deno.execPath(), ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([
      this.#read(this.#child.stdout),
      this.#read(this.#child.stderr),
    ]).then(() => this.#output.end());
  }

  get pid(): number {
    return this.#child.pid;
  }

  async #read(from: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of from.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      this.lines.push(...parts);
      this.#output.changed();
    }
    if (rest) this.lines.push(rest);
  }

  /** The first line that `pattern` fits, from number `from` on. Throws if the daemon ends, or takes too long. */
  said(pattern: RegExp, from = 0): Promise<string> {
    return this.#output.until(
      () => this.lines.slice(from).find((line) => pattern.test(line)),
      () => `Never said ${pattern}; said:\n${this.lines.join("\n")}`,
      PATIENCE_MS,
    );
  }

  /** The address in its "ready" line. */
  async address(): Promise<string> {
    return / address=(\S+)/.exec(await this.said(/ ready /))![1]!;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** How it ended, when it has. */
  async ended(): Promise<Deno.CommandStatus> {
    await this.#reading;
    return await this.#child.status;
  }

  /** Asks it to end, and answers its exit code. */
  async end(): Promise<number> {
    this.kill("SIGTERM");
    return (await this.ended()).code;
  }

  /** Ends it without asking, if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.ended();
  }
}

/** Runs `mortar ARGS…` to its end. */
export async function mortar(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(MORTAR, {
    args,
    env: { DENO: Deno.execPath() },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}
