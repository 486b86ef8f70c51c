/**
 * Statedumps: what a running daemon looks like inside, as a text file for people who debug and for
 * scripts. The form is GlusterFS's: sections in brackets, `key=value` lines, and a last line
 * that says the file is complete.
 */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { plain } from "mgmt/plain.ts";
import { VERSION } from "mgmt/version.ts";

/** Where GlusterFS's tools look for them. */
export const DUMP_DIRECTORY = "/var/run/gluster";

/** A part of a dump. */
export interface DumpSection {
  readonly title: string;
  readonly entries: Iterable<readonly [key: string, value: string | number | boolean]>;
}

/**
 * Writes `sections` to a new file, readable by its owner only, and tells the log where, or why not.
 * `directory` undefined: where GlusterFS's tools look, or in /tmp where that is not possible. The
 * file gets its name when it is complete.
 */
export function dumpState(
  env: Env,
  directory: string | undefined,
  name: string,
  sections: Iterable<DumpSection>,
): void {
  const now = env.clock.now();
  const text = [
    `DUMP-START-TIME: ${dumpTime(now)}\n`,
    sectionText({ title: "mortar", entries: [["version", VERSION], ["pid", Deno.pid]] }),
    ...Array.from(sections, sectionText),
    `DUMP-END-TIME: ${dumpTime(env.clock.now())}\n`,
  ].join("\n");
  let why: unknown;
  for (const place of directory === undefined ? [DUMP_DIRECTORY, "/tmp"] : [directory]) {
    try {
      const file = writeNew(`${place}/${name}.${Deno.pid}.dump`, Math.floor(now / 1000), text);
      return env.log.info("statedump written", { file });
    } catch (error) {
      why = error;
    }
  }
  env.log.error("statedump cannot be written", { why: plain(why) });
}

// Two dumps in one second have names of their own, as if the second came later. A new file: nobody
// can have put a link to another one there.
function writeNew(stem: string, second: number, text: string): string {
  const NAMES_MAX = 60;
  for (let i = 0;; i++) {
    const file = `${stem}.${second + i}`;
    try {
      Deno.writeTextFileSync(file, text, { createNew: true, mode: 0o600 });
      return file;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists) || i === NAMES_MAX) throw error;
    }
  }
}

function sectionText({ title, entries }: DumpSection): string {
  const lines = Array.from(entries, ([key, value]) => `${line(key)}=${line(String(value))}\n`);
  return `[${line(title)}]\n${lines.join("")}`;
}

// Names of files come from clients: none may look like a line of the dump.
function line(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what must go
  return text.replace(/[\0-\x1f]/g, "?");
}

/** A time in dumps: "2026-01-31 23:59:59.123456 +0000". */
export function dumpTime(ms: number): string {
  const iso = new Date(ms).toISOString();
  const micros = String(Math.floor(ms % 1000 * 1000)).padStart(6, "0");
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}.${micros} +0000`;
}

/** A value as one section: `{ a: { b: [1, 2] } }` is the lines "a.b[0]=1" and "a.b[1]=2". */
export function stateSection(title: string, state: Json): DumpSection {
  return { title, entries: flat("", state) };
}

function* flat(key: string, value: Json): Generator<[string, string | number | boolean]> {
  if (value === null) return;
  if (typeof value !== "object") {
    yield [key, value];
  } else if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) yield* flat(`${key}[${index}]`, each);
  } else {
    for (const [name, each] of Object.entries(value as { [name: string]: Json })) {
      yield* flat(key === "" ? name : `${key}.${name}`, each);
    }
  }
}

/** Options as a statedump shows them: without passwords. */
export function shownOptions(options: ReadonlyMap<string, string>): { [name: string]: string } {
  return Object.fromEntries(
    [...options].map(([name, value]) => [name, /password/.test(name) ? "********" : value]),
  );
}
