/** What one `mortar file` command works with: the volumes it opened, and who asks. */

import { type Call, ROOT } from "core/call.ts";
import { type Env, makeLog, realClock, realEnv } from "core/env.ts";
import type { Graph } from "core/graph.ts";
import { sys } from "core/sys/calls.ts";
import type { XlatorTypes } from "core/registry.ts";
import { Volume } from "core/volume.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Address } from "mgmt/file/address.ts";
import { openGraph } from "mgmt/file/client_graph.ts";
import { Progress } from "mgmt/file/progress.ts";

/** Groups that a process may be in (Linux, NGROUPS_MAX). */
const GROUPS_MAX = 65_536;
/** Exit code of a process that a person ended. */
const INTERRUPTED = 130;

/** See the head of this file. Dispose it: connections end. */
export class Session implements AsyncDisposable {
  readonly env: Env;
  readonly progress: Progress;
  readonly #types: XlatorTypes;
  readonly #verbose: boolean;
  readonly #opened = new Map<string, { readonly graph: Graph; readonly volume: Volume }>();
  readonly #stopped = new AbortController();
  readonly #interruption = Promise.withResolvers<never>();
  // The first signal lets temporary files be taken away, the second does not wait for that.
  readonly #stop = () => {
    if (this.#stopped.signal.aborted) Deno.exit(INTERRUPTED);
    this.#stopped.abort();
    this.#interruption.reject(interrupted());
  };

  constructor(
    types: XlatorTypes,
    { verbose, quiet = false }: { verbose: boolean; quiet?: boolean },
  ) {
    this.#types = types;
    this.#verbose = verbose;
    this.#interruption.promise.catch(() => {});
    const level = verbose ? "info" : "none";
    this.env = realEnv(makeLog({ level, format: "text", write: complain, clock: realClock }));
    const shows = !quiet && !verbose && Deno.stderr.isTerminal();
    this.progress = new Progress(this.env.clock, shows ? complain : undefined);
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, this.#stop);
  }

  /** The volume of an address. Throws CommandError. */
  async volume(address: Address): Promise<Volume> {
    const key = `${address.host} ${address.port} ${address.volume}`;
    const known = this.#opened.get(key);
    if (known) return known.volume;
    const tell = (sentence: string) => {
      if (this.#verbose) complain(`${sentence}\n`);
    };
    const graph = await openGraph(address, this.#types, this.env, tell);
    const volume = new Volume({
      top: graph.top,
      inodes: graph.inodes,
      env: this.env,
      call: caller(),
    });
    this.#opened.set(key, { graph, volume });
    return volume;
  }

  /** Throws once the person has asked to stop. */
  check(): void {
    if (this.#stopped.signal.aborted) throw interrupted();
  }

  /** The same while waiting for somebody else: a pipe may be silent for hours. */
  waitFor<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([answer, this.#interruption.promise]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.progress.end();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(signal, this.#stop);
    }
    for (const { graph } of this.#opened.values()) await graph.stop();
  }
}

function interrupted(): CommandError {
  return new CommandError("Cannot go on: interrupted");
}

/** Whoever runs this process: bricks decide by that what may be done, as they would for a mount. */
export function caller(): Call {
  const groups = new Uint32Array(GROUPS_MAX);
  const count = Math.max(0, sys.getgroups(GROUPS_MAX, groups));
  return {
    ...ROOT,
    uid: Deno.uid() ?? 0,
    gid: sys.getgid(),
    groups: [...groups.subarray(0, count)],
    pid: Deno.pid,
  };
}

/** Writes to standard error. */
export function complain(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}

/** Writes to standard output. Throws CommandError if nobody reads it any more. */
export async function say(data: string | Uint8Array): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    throw new CommandError("Cannot write to standard output: nobody reads it");
  }
}
