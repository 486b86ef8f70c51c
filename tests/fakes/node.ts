/** A place in a graph for a layer under test. */

import type { Client } from "core/call.ts";
import { ROOT } from "core/call.ts";
import { type Env, type Log, MetricsTable, realClock, realRandom } from "core/env.ts";
import { InodeTable } from "core/inode.ts";
import type { Node, Xlator } from "core/xlator.ts";

/** A log that keeps its lines in `lines` as "W message key=value". */
export class LinesLog implements Log {
  constructor(readonly lines: string[] = [], private readonly fields = "") {}
  #add(level: string, message: string, fields: object = {}): void {
    const more = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`).join("");
    this.lines.push(`${level} ${message}${this.fields}${more}`);
  }
  error(message: string, fields?: object): void {
    this.#add("E", message, fields);
  }
  warn(message: string, fields?: object): void {
    this.#add("W", message, fields);
  }
  info(message: string, fields?: object): void {
    this.#add("I", message, fields);
  }
  debug(message: string, fields?: object): void {
    this.#add("D", message, fields);
  }
  with(fields: object): Log {
    const more = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`).join("");
    return new LinesLog(this.lines, this.fields + more);
  }
}

/** The real clock and randomness, a log that is kept. */
export function testEnv(over: Partial<Env> = {}): Env {
  return {
    clock: realClock,
    random: realRandom,
    log: new LinesLog(),
    metrics: new MetricsTable(),
    ...over,
  };
}

/** A node named `name` over `children`. */
export function node(
  name: string,
  children: readonly Xlator[] = [],
  over: Partial<Node> = {},
): Node {
  return { name, children, env: testEnv(), inodes: new InodeTable(), ...over };
}

let clients = 0;
/** A client of its own, and a call of root's from it. */
export function testClient(id = `client-${++clients}`): Client {
  return { id, address: "127.0.0.1" };
}
/** `ROOT` as another client. */
export function callFrom(client: Client): typeof ROOT {
  return { ...ROOT, client };
}
