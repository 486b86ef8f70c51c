/** Programs as a person runs them: each shown before it is run, with what it says; and their end. */

// deno-lint-ignore-file no-console -- a command's output

import { realClock } from "core/env.ts";
import { WITH_SBIN } from "./disk_image.ts";

const READY_MS = 20_000, END_MS = 5000;
/** The program: `$MORTAR`, or from the sources here. */
export const MORTAR: string = Deno.env.get("MORTAR") ??
  new URL("../mortar", import.meta.url).pathname;

/** A program in the background. */
interface Background {
  readonly child: Deno.ChildProcess;
  ended: boolean;
}

/** See the head of this file. */
export class Session {
  readonly #running = new Map<string, Background>();
  #stopping = false;

  /**
   * Starts `mortar WORDS… &` as `name`; answers the line of its log that matches `ready`, as an object.
   * Throws what it complained about if it ends before.
   */
  async start(
    name: string,
    words: readonly string[],
    { logFile, ready }: { readonly logFile: string; readonly ready: RegExp },
  ): Promise<Record<string, unknown>> {
    this.#mayGoOn();
    console.log(`$ mortar ${shown(words)} &\n`);
    // One that ran before said it was ready, too.
    await Deno.remove(logFile).catch(() => {});
    const child = new Deno.Command(MORTAR, {
      args: [...words, "--log-format", "json", "--log-file", logFile],
      env: { DENO: Deno.execPath() },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      detached: true,
    }).spawn();
    const running: Background = { child, ended: false };
    this.#running.set(name, running);
    const complaint = new Response(child.stderr).text();
    child.status.then(() => running.ended = true);
    const end = realClock.monotonic() + READY_MS;
    for (;;) {
      const line = logged(logFile, ready);
      if (line) return line;
      if (running.ended) throw new Error(`mortar ${words[0]} ended: ${(await complaint).trim()}`);
      if (realClock.monotonic() > end) throw new Error(`mortar ${words[0]} is not ready in time`);
      await realClock.delay(20);
    }
  }

  /** Runs `mortar WORDS…` and shows both; answers what it printed. Throws if it fails. */
  mortar(...words: string[]): Promise<string> {
    return this.#run("mortar", MORTAR, words);
  }

  /** As `mortar`, of another program. */
  run(program: string, ...words: string[]): Promise<string> {
    return this.#run(program, program, words);
  }

  async #run(name: string, path: string, words: readonly string[]): Promise<string> {
    this.#mayGoOn();
    return await type(name, path, words);
  }

  #mayGoOn(): void {
    if (this.#stopping) throw new Error("interrupted");
  }

  /** Process number of what was started as `name`. */
  pid(name: string): number {
    return this.#running.get(name)!.child.pid;
  }

  /** Leaves all that runs to itself. */
  leave(): void {
    for (const { child } of this.#running.values()) child.unref();
  }

  /** Ends what was started as `name`, if it was, and waits for it. */
  async end(name: string): Promise<void> {
    const running = this.#running.get(name);
    this.#running.delete(name);
    if (!running || running.ended) return;
    const late = new AbortController();
    try {
      running.child.kill("SIGTERM");
      const patience = realClock.delay(END_MS, late.signal).then(() =>
        running.child.kill("SIGKILL")
      );
      await Promise.race([running.child.status, patience]);
      await running.child.status;
    } catch (error) {
      // It ended before we could ask it to.
      if (!(error instanceof TypeError)) throw error;
    } finally {
      late.abort();
    }
  }

  /** Lets no more be started, runs `mortar LAST…` if the daemon was, and ends everything. */
  async stop(last: readonly string[]): Promise<void> {
    this.#stopping = true;
    const names = [...this.#running.keys()].reverse();
    for (const name of names.slice(0, -1)) await this.end(name);
    if (names.length) await type("mortar", MORTAR, last).catch(() => {});
    for (const name of names) await this.end(name);
  }
}

async function type(name: string, path: string, words: readonly string[]): Promise<string> {
  console.log(`$ ${name} ${shown(words)}`);
  // Where a person looks on, progress is shown.
  const watched = name === "mortar" && Deno.stderr.isTerminal();
  const finished = await new Deno.Command(path, {
    args: [...words],
    env: { DENO: Deno.execPath(), PATH: WITH_SBIN },
    stdin: "null",
    stdout: "piped",
    stderr: watched ? "inherit" : "piped",
  }).output();
  const { code } = finished;
  const text = new TextDecoder(), out = text.decode(finished.stdout);
  // What others say beside their output matters only where they fail.
  const quiet = watched || (name !== "mortar" && code === 0);
  const said = out + (quiet ? "" : text.decode(finished.stderr));
  console.log(said.trimEnd() ? `${said.trimEnd()}\n` : "");
  if (code !== 0) throw new Error(`${name} ${words.join(" ")}: exit code ${code}`);
  return out;
}

/** As a shell takes it. */
function shown(words: readonly string[]): string {
  return words.map((each) => /^[\w@%+=:,./-]+$/.test(each) ? each : `'${each}'`).join(" ");
}

function logged(logFile: string, wanted: RegExp): Record<string, unknown> | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(logFile);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line))
    .find(({ message }) => wanted.test(message));
}
