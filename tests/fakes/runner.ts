/** Processes that are none: a test says how they behave. */

import type { CommandLine, Exit, Runner, Running } from "mgmt/bricks/runner.ts";

/** One of them. SIGTERM ends it with code 0, SIGKILL by that signal, unless it is `stubborn`. */
export class FakeProcess implements Running {
  readonly signals: string[] = [];
  /** SIGTERM does nothing. */
  stubborn = false;
  /** Whether its daemon is its parent: only then its exit is told in full. */
  child = true;
  #alive = true;
  readonly #exit = Promise.withResolvers<Exit>();

  constructor(readonly pid: number, readonly args: readonly string[]) {}

  get alive(): boolean {
    return this.#alive;
  }

  get ended(): Promise<Exit> {
    return this.#exit.promise;
  }

  signal(signal: Deno.Signal): void {
    this.signals.push(signal);
    if (signal === "SIGTERM" && !this.stubborn) this.end({ code: 0 });
    if (signal === "SIGKILL") this.end({ signal });
  }

  /** It ends. */
  end(exit: Exit): void {
    this.#alive = false;
    this.#exit.resolve(this.child ? exit : {});
  }
}

/** See the head of this file. */
export class FakeRunner implements Runner {
  /** All there ever were, in order. */
  readonly processes: FakeProcess[] = [];
  /** What a process does when it was started. */
  onStart: (process: FakeProcess, log: string) => void = () => {};
  #next = 100;

  /** A process that was there before. */
  add(args: readonly string[]): FakeProcess {
    const process = new FakeProcess(this.#next++, args);
    process.child = false;
    this.processes.push(process);
    return process;
  }

  start({ command, args }: CommandLine, log: string): FakeProcess {
    const process = new FakeProcess(this.#next++, [command, ...args]);
    this.processes.push(process);
    this.onStart(process, log);
    return process;
  }

  find(pid: number): FakeProcess | undefined {
    return this.processes.find((each) => each.pid === pid && each.alive);
  }

  list(): { pid: number; args: readonly string[] }[] {
    return this.processes.filter(({ alive }) => alive).map(({ pid, args }) => ({ pid, args }));
  }
}
