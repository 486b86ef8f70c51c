/**
 * The management daemon with a kill point before and after every operation on its store, its
 * processes and its bricks: `killable_mgmt.ts HOME PORT COUNT` kills itself with SIGKILL at the COUNTth of them that
 * comes while the file HOME.armed is there. It logs to HOME.log and says there when it is ready.
 */

import { makeLog, MetricsTable, realClock, realEnv } from "core/env.ts";
import { BrickProcesses } from "mgmt/bricks/brick_processes.ts";
import { program } from "mgmt/self.ts";
import { type CommandLine, type Runner, type Running, SystemRunner } from "mgmt/bricks/runner.ts";
import { placesUnder } from "mgmt/home.ts";
import { ManagementDaemon } from "mgmt/management_daemon.ts";
import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";
import { openStore } from "mgmt/store/open_store.ts";
import type { Store } from "mgmt/store/store.ts";
import type { Signature } from "rpc/program.ts";
import { exists } from "tests/e2e/process.ts";

const [home = "", port = "0", count = "0"] = Deno.args;
let left = Number(count);

function point(what: string): void {
  if (!exists(`${home}.armed`)) return;
  write(`point: ${what}\n`);
  if (--left === 0) Deno.kill(Deno.pid, "SIGKILL");
}

function write(line: string): void {
  Deno.writeTextFileSync(`${home}.log`, line, { append: true });
}

function killableStore(store: Store): Store {
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    watch: (prefix, changed, signal) => store.watch(prefix, changed, signal),
    close: () => store.close(),
    async transact(change) {
      point("before a transaction");
      const value = await store.transact(change);
      point("after a transaction");
      return value;
    },
  };
}

class KillableRunner implements Runner {
  readonly #runner = new SystemRunner(realClock);

  start(line: CommandLine, log: string): Running {
    point("before a process starts");
    const running = this.#watched(this.#runner.start(line, log));
    point("after a process started");
    return running;
  }

  find(pid: number): Running | undefined {
    const running = this.#runner.find(pid);
    return running && this.#watched(running);
  }

  list() {
    return this.#runner.list();
  }

  #watched(running: Running): Running {
    return {
      pid: running.pid,
      get args() {
        return running.args;
      },
      get alive() {
        return running.alive;
      },
      get ended() {
        return running.ended.then((exit) => {
          point("after a process ended");
          return exit;
        });
      },
      signal(signal) {
        point(`before ${signal}`);
        running.signal(signal);
        point(`after ${signal}`);
      },
    };
  }
}

class KillableBricks extends BrickProcesses {
  override async ask<A, R>(
    volume: VolumeRecord,
    brick: BrickRecord,
    signature: Signature<A, R>,
    args: A,
  ): Promise<R> {
    point("before a brick is asked");
    const answer = await super.ask(volume, brick, signature, args);
    point("after a brick was asked");
    return answer;
  }
}

if (import.meta.main) {
  const log = makeLog({ level: "info", format: "text", write, clock: realClock });
  const env = realEnv(log, new MetricsTable());
  const ended = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGTERM", () => ended.resolve());
  const daemon = await ManagementDaemon.start(env, {
    places: placesUnder(home),
    listens: ["127.0.0.1"],
    port: Number(port),
    servers: [],
    volfiles: undefined,
    openStore: (directory, env) => killableStore(openStore(directory, env)),
    makeBricks: (parts) =>
      new KillableBricks({ ...parts, runner: new KillableRunner(), program, restart: true }),
  });
  await daemon.settled;
  write(`ready ${Deno.pid}\n`);
  await ended.promise;
  await daemon.stop();
  Deno.exit(0);
}
