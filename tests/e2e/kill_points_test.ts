/**
 * The daemon dies at every step of create, start, set, stop and delete of a volume, and of create and
 * delete of a snapshot: afterwards it is there wholly or not at all, and nothing is left over.
 */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { listReaders } from "rpc/programs/history_ops.ts";
import { mortar } from "tests/e2e/daemon.ts";
import { LONG } from "tests/e2e/harness.ts";
import { exists, killAllNaming, processesNaming, until, untilEqual } from "tests/e2e/process.ts";
import { testEnv } from "tests/fakes/node.ts";

const PROGRAM = new URL("killable_mgmt.ts", import.meta.url).pathname;
/** More points than any command has. */
const POINTS_MAX = 60;
/** How long a volume may take to be whole on a busy machine. */
const WHOLE_MS = 30_000;

const SOCKET = /^[0-9a-f]{16}\.socket$/;

function names(directory: string): string[] {
  return exists(directory) ? [...Deno.readDirSync(directory)].map(({ name }) => name) : [];
}

class Home implements AsyncDisposable {
  #child: Deno.ChildProcess | undefined;

  private constructor(readonly dir: string, readonly port: number) {}

  static async make(): Promise<Home> {
    // Bricks look for their daemon where it was.
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    return new Home(await Deno.makeTempDir({ prefix: "mt-kill-" }), port);
  }

  get home(): string {
    return `${this.dir}/home`;
  }

  /** Starts a daemon; `killAt` 0: one that lives. Resolves when it is ready and all is converged. */
  async start(killAt: number): Promise<void> {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", PROGRAM, this.home, String(this.port), String(killAt)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const { pid, status } = this.#child;
    let ended = false;
    status.then(() => ended = true);
    const log = () => Deno.readTextFileSync(`${this.home}.log`);
    await until("the daemon is ready", () => {
      if (ended) throw new Error(`the daemon ended: ${log()}`);
      return exists(`${this.home}.log`) && log().includes(`ready ${pid}\n`);
    });
  }

  /** Waits until the daemon is dead; false: it lives, so it is ended in order. */
  async end(): Promise<boolean> {
    const child = this.#child!;
    try {
      child.kill("SIGTERM");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    const { signal } = await child.status;
    return signal === "SIGKILL";
  }

  /** Runs a command. */
  run(...words: string[]) {
    return mortar("--home", this.home, "--mode=script", ...words);
  }

  /** Runs one that must work. */
  async do(...words: string[]): Promise<string> {
    const { code, out, err } = await this.run(...words);
    equal(code, 0, `${words.join(" ")}: ${out}${err}`);
    return out;
  }

  brick(name: string): string {
    return `${this.dir}/${name}`;
  }

  get bricks(): string[] {
    return ["a", "b"].map((name) => `127.0.0.1:${this.brick(name)}`);
  }

  /** What the daemon has of the volume: its state, or "none". */
  async state(): Promise<string> {
    const { out } = await this.run("volume", "info", "v1");
    return /^Status: (\w+)$/m.exec(out)?.[1] ?? "none";
  }

  /** Its snapshot: "one", or "none". */
  async snapshot(): Promise<string> {
    return (await this.do("snapshot", "list")).trim() === "one" ? "one" : "none";
  }

  /** Ids of snapshots that each brick has. */
  async taken(): Promise<string[][]> {
    const env = testEnv(), run = `${this.home}/run`;
    return await Promise.all(
      names(run).filter((name) => SOCKET.test(name)).map(async (name) => {
        const link = new BrickLink(env, `${run}/${name}`);
        try {
          return (await link.ask(listReaders, {})).readers.map(({ id }) => id);
        } finally {
          link.close();
        }
      }),
    );
  }

  /** Waits until everything that could be left over is just what `state` has. */
  async checkWhole(state: string, what: string): Promise<void> {
    const each = state === "Started" ? 2 : 0;
    const right = {
      processes: each,
      sockets: each,
      pidFiles: each,
      stateFiles: state !== "none",
      online: each,
    };
    // A brick that was just started has all of it a moment later.
    await untilEqual(`${what}: a ${state} volume is whole`, right, async () => {
      // The daemon itself names the directory, too.
      const bricks = processesNaming(`${this.home}/run`).filter((pid) => exists(`/proc/${pid}`));
      const { out } = await this.run("volume", "status", "v1", "--xml");
      return {
        processes: bricks.length,
        sockets: names(`${this.home}/run`).filter((name) => SOCKET.test(name)).length,
        pidFiles: names(`${this.home}/run/vols/v1`).length,
        stateFiles: exists(`${this.home}/vols/v1`),
        online: [...out.matchAll(/<status>1<\/status>/g)].length,
      };
    }, WHOLE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
    await killAllNaming(this.dir);
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** What is tried: how to get there, the command, and which states are right after a kill. */
interface Trial {
  readonly words: (at: Home) => readonly string[];
  readonly before: (at: Home) => Promise<void>;
  /** What it is about, if not the volume. */
  readonly state?: (at: Home) => Promise<string>;
  /** States after a kill, that before the command first. */
  readonly states: readonly string[];
  /** Killed at each so many points; at each one if absent, and in long runs. */
  readonly stride?: number;
  readonly check?: (at: Home, state: string) => Promise<void>;
}

const NONE = async (at: Home) => {
  await at.run("volume", "stop", "v1");
  await at.run("volume", "delete", "v1");
  for (const name of ["a", "b"]) {
    await Deno.remove(at.brick(name), { recursive: true }).catch(() => {});
  }
};
const CREATED = async (at: Home) => {
  if (await at.state() !== "none") await NONE(at);
  await at.do("volume", "create", "v1", ...at.bricks, "force");
};
const STARTED = async (at: Home) => {
  if (await at.state() === "none") await CREATED(at);
  if (await at.state() !== "Started") await at.do("volume", "start", "v1");
};
const STOPPED = async (at: Home) => {
  if (await at.state() === "Stopped") return;
  await STARTED(at);
  await at.do("volume", "stop", "v1");
};

const TRIALS: Readonly<Record<string, Trial>> = {
  create: {
    words: (at) => ["volume", "create", "v1", ...at.bricks, "force"],
    before: NONE,
    states: ["none", "Created"],
    check(at, state) {
      // Bricks that were made for a volume that is not there are gone.
      for (const name of ["a", "b"]) equal(exists(at.brick(name)), state !== "none", name);
      return Promise.resolve();
    },
  },
  start: {
    words: () => ["volume", "start", "v1"],
    before: STOPPED,
    states: ["Stopped", "Started"],
  },
  set: {
    words: () => ["volume", "set", "v1", "network.ping-timeout", "17"],
    async before(at) {
      await STARTED(at);
      await at.do("volume", "reset", "v1", "network.ping-timeout");
    },
    states: ["Started"],
    async check(at) {
      const shown = /ping-timeout: 17/.test((await at.run("volume", "info", "v1")).out);
      const spec = (await at.run("system::", "getspec", "v1")).out;
      equal(/ping-timeout 17$/m.test(spec), shown);
      const file = await Deno.readTextFile(`${at.home}/vols/v1/info`);
      equal(/ping-timeout=17/.test(file), shown);
    },
  },
  stop: {
    words: () => ["volume", "stop", "v1"],
    before: STARTED,
    states: ["Started", "Stopped"],
  },
  delete: {
    words: () => ["volume", "delete", "v1"],
    before: STOPPED,
    states: ["Stopped", "none"],
    check(at) {
      for (const name of ["a", "b"]) ok(exists(at.brick(name)), "bricks keep what they hold");
      return Promise.resolve();
    },
  },
};

const SNAPSHOTS: Readonly<Record<string, Trial>> = {
  create: {
    words: () => ["snapshot", "create", "one", "v1", "no-timestamp"],
    async before(at) {
      await STARTED(at);
      await at.do("snapshot", "delete", "all");
    },
    state: (at) => at.snapshot(),
    states: ["none", "one"],
    stride: 7,
    check: haveAllOrNone,
  },
  delete: {
    words: () => ["snapshot", "delete", "one"],
    async before(at) {
      await STARTED(at);
      if (await at.snapshot() === "none") {
        await at.do("snapshot", "create", "one", "v1", "no-timestamp");
      }
    },
    state: (at) => at.snapshot(),
    states: ["one", "none"],
    stride: 4,
    check: haveAllOrNone,
  },
};

// Bricks forget what was undone when they know their daemon again.
async function haveAllOrNone(at: Home, state: string): Promise<void> {
  const each = state === "one" ? 1 : 0;
  await untilEqual(
    "bricks have it all, or none",
    [each, each],
    async () => (await at.taken()).map((ids) => ids.length),
    WHOLE_MS,
  );
  equal(new Set((await at.taken()).flat()).size, each);
}

const ALL: readonly (readonly [name: string, trial: Trial])[] = [
  ...Object.entries(TRIALS).map(([name, trial]) => [`volume ${name}`, trial] as const),
  ...Object.entries(SNAPSHOTS).map(([name, trial]) => [`snapshot ${name}`, trial] as const),
];

for (const [name, { words, before, states, check, ...trial }] of ALL) {
  Deno.test({
    name: `${name}: the daemon killed at any step leaves all or nothing`,
    // Output of killed processes may end a turn later.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using at = await Home.make();
      const seen = new Set<string>();
      const stride = LONG ? 1 : trial.stride ?? 1;
      let points = 0;
      for (let killAt = 1;; killAt += stride) {
        ok(killAt < POINTS_MAX, "the command never ends");
        await at.start(0);
        await before(at);
        await at.end();
        await at.start(killAt);
        await Deno.writeTextFile(`${at.home}.armed`, "");
        await at.run(...words(at));
        const killed = await at.end();
        await Deno.remove(`${at.home}.armed`);
        if (!killed) break;
        points++;
        await at.start(0);
        const what = `${name} killed at point ${killAt}`;
        const volume = await at.state();
        const state = trial.state ? await trial.state(at) : volume;
        ok(states.includes(state), `${what}: it is ${state}`);
        seen.add(state);
        await at.checkWhole(volume, what);
        await check?.(at, state);
        await at.end();
      }
      ok(points >= 2, `only ${points} points`);
      if (stride > 1) return;
      deepEqual([...seen].sort(), [...states].sort(), "both outcomes were met");
    },
  });
}
