/**
 * Hooks: programs that an administrator put into `hooks/1/EVENT/{pre,post}` of the home, named S…,
 * run one after another in the order of their names before and after a change of a volume. They are
 * given the arguments that GlusterFS 10 gives. What they answer is told to the log and changes nothing
 * else.
 */

import type { Env } from "core/env.ts";
import type { Places } from "mgmt/home.ts";
import { plain } from "mgmt/plain.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";

/** Changes that have hooks. */
export const HOOK_EVENTS = [
  "create",
  "start",
  "stop",
  "delete",
  "set",
  "reset",
  "add-brick",
  "remove-brick",
  "gsync-create",
] as const;

export type HookEvent = typeof HOOK_EVENTS[number];

/** Before the change, or after it. */
export type HookPhase = "pre" | "post";

/** What some hooks are told. */
export interface HookFacts {
  /** How many volumes are started now. For start and stop. */
  readonly started?: number;
  /** What is set. For set. */
  readonly options?: Readonly<Record<string, string>>;
}

/** A hook that runs longer is killed, with what it started. */
export const HOOK_MS_MAX = 60_000;

/** Makes the directories that hooks are put into. Throws what the file system throws. */
export async function makeHookDirectories(places: Places): Promise<void> {
  for (const event of HOOK_EVENTS) {
    for (const phase of ["pre", "post"] as const) {
      await makeDirectory(hookDirectory(places, event, phase));
    }
  }
}

/**
 * Runs the hooks of one phase; resolves when the last one ended. Never throws: a change does not
 * depend on them. A hook "post" may call the command line, so no lock is held meanwhile.
 */
export async function runHooks(
  places: Places,
  env: Env,
  event: HookEvent,
  phase: HookPhase,
  volume: string,
  facts: HookFacts = {},
  timeMs = HOOK_MS_MAX,
): Promise<void> {
  const directory = hookDirectory(places, event, phase);
  const args = hookArguments(places, event, phase, volume, facts);
  for (const name of await hookNames(directory, env)) {
    await runHook(`${directory}/${name}`, args, env, timeMs);
  }
}

/** Hooks "post" of one change after the other, while their commands have long been answered. */
export class PostHooks {
  #last: Promise<void> = Promise.resolve();

  constructor(readonly places: Places, readonly env: Env) {}

  /** Runs them when those before are done. */
  add(event: HookEvent, volume: string, facts: HookFacts = {}): void {
    this.#last = this.#last.then(() =>
      runHooks(this.places, this.env, event, "post", volume, facts)
    );
  }

  /** Resolves when all have run. */
  idle(): Promise<void> {
    return this.#last;
  }
}

/** What a hook is given, as GlusterFS 10.3 gives it (seen with a hook that writes it down). */
export function hookArguments(
  { home }: Pick<Places, "home">,
  event: HookEvent,
  phase: HookPhase,
  volume: string,
  { started = 0, options = {} }: HookFacts,
): string[] {
  const name = `--volname=${volume}`;
  const work = `--gd-workdir=${home}`;
  const operation = ["--version=1", `--volume-op=${event}`, work];
  // The volume itself counts before it stops and after it starts.
  const alone = (itself: HookPhase) => started === (phase === itself ? 1 : 0) ? "yes" : "no";
  switch (event) {
    case "start":
      return [name, `--first=${alone("post")}`, ...operation];
    case "stop":
      return [name, `--last=${alone("pre")}`];
    case "set":
      return [
        name,
        "-o",
        ...Object.entries(options).map(([key, value]) => `${key}=${value}`),
        work,
      ];
    case "add-brick":
    case "reset":
      return [name, ...operation];
    default:
      return [name];
  }
}

function hookDirectory({ home }: Places, event: HookEvent, phase: HookPhase): string {
  return `${home}/hooks/1/${event}/${phase}`;
}

async function hookNames(directory: string, env: Env): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      // Package managers leave the latter two beside what they replace.
      if (name.startsWith("S") && !/\.(rpmsave|rpmnew)$/.test(name)) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      env.log.warn("hooks cannot be read", { directory, why: plain(error) });
    }
  }
  return names.sort();
}

async function runHook(path: string, args: string[], env: Env, timeMs: number): Promise<void> {
  let hook: Deno.ChildProcess;
  try {
    // A group of its own, so that what it started can be ended with it.
    const io = { stdin: "null", stdout: "null", stderr: "null", detached: true } as const;
    hook = new Deno.Command(path, { args, ...io }).spawn();
  } catch (error) {
    return env.log.warn("hook cannot be run", { hook: path, why: plain(error) });
  }

  const timer = env.clock.after(timeMs, () => {
    env.log.warn("hook is killed: it took too long", { hook: path, ms: timeMs });
    endGroup(hook.pid);
  });
  const { code, signal } = await hook.status;
  timer.cancel();
  if (code === 0) env.log.info("hook ran", { hook: path });
  else env.log.warn("hook failed", { hook: path, code, signal: signal ?? undefined });
}

function endGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
