/**
 * Volfiles by key: hand-written ones in a directory (key `v1` or `/v1` is `v1.vol`, `shd/v1` is
 * `shd/v1.vol`), and those that are made for volumes. What is written by hand wins.
 */

import type { Clock } from "core/env.ts";
import { EIO, ENAMETOOLONG, ENOENT, type FopError } from "core/errno.ts";
import { VOLFILE_MAX } from "core/volfile.ts";

const KEY_MAX = 1024;
const SUFFIX = ".vol";
/** What says that there is no such volfile, rather than that something is wrong. */
const ABSENT = [
  Deno.errors.NotFound,
  Deno.errors.NotADirectory,
  Deno.errors.IsADirectory,
  Deno.errors.PermissionDenied,
];

/**
 * Where in the directory the volfile of `key` is; undefined for a key that is none. A key comes
 * from anybody who can connect: it never leads out of the directory.
 */
export function volfileName(key: string): string | undefined {
  const plain = key.startsWith("/") ? key.slice(1) : key;
  if (plain.length > KEY_MAX || !plain.isWellFormed()) return undefined;
  const good = plain.split("/").every((part) =>
    // deno-lint-ignore no-control-regex -- that is what must not be in a file's name
    part !== "" && part !== "." && part !== ".." && !/[\0-\x1f\\]/.test(part)
  );
  return good ? plain + SUFFIX : undefined;
}

/**
 * Makes the volfile of `key` (without a leading slash); undefined if there is none. `trusted`: for one of our own
 * nodes, with the login of the volume in it.
 */
export type MakeVolfile = (key: string, trusted: boolean) => Promise<string | undefined>;

/** A volfile that was read, and by whom: the same key may have another text for strangers. */
export interface ReadVolfile {
  readonly name: string;
  readonly trusted: boolean;
  text: string;
}

function readId(name: string, trusted: boolean): string {
  return `${trusted ? "own" : "other"} ${name}`;
}

/** The volume that a key is about: its name has no dots, and what is before a slash says whose graph it is. */
export function volumeOfKey(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1).split(".")[0]!;
}

/** See the head of this file. */
export class Volfiles {
  #read = new Map<string, ReadVolfile>();

  /** `directory`: of hand-written ones, if there is one. `make`: makes the others. */
  constructor(
    readonly directory: string | undefined,
    readonly make: MakeVolfile = () => Promise.resolve(undefined),
  ) {}

  /**
   * The text of `key`'s volfile as it is now. Throws ENOENT, ENAMETOOLONG (over 16 MiB), EIO.
   */
  async peek(key: string, trusted = true): Promise<string> {
    const name = volfileName(key);
    if (name === undefined) throw ENOENT;
    const text = await this.#text(name, trusted);
    if (typeof text !== "string") throw text;
    return text;
  }

  /** Somebody has that text of `key`, and hears of changes until `forget`: what `refresh` names it by. */
  note(key: string, trusted: boolean, text: string): ReadVolfile {
    const name = volfileName(key)!, id = readId(name, trusted);
    // An earlier reader has the text that is remembered, and must hear of this one.
    const as = this.#read.get(id) ?? { name, trusted, text };
    this.#read.set(id, as);
    return as;
  }

  /** Nobody who read it is there any more. */
  forget({ name, trusted }: ReadVolfile): void {
    this.#read.delete(readId(name, trusted));
  }

  /** Whether there is a volfile under `key`. */
  async has(key: string, trusted = true): Promise<boolean> {
    const name = volfileName(key);
    return name !== undefined && typeof await this.#text(name, trusted) === "string";
  }

  /** Whether `key`'s volfile is written by hand. */
  async isHandWritten(key: string): Promise<boolean> {
    const name = volfileName(key);
    return name !== undefined && typeof await this.#file(name) === "string";
  }

  /** Keys of a volume's brick volfiles: those that begin with its name and a dot. */
  async keysOf(volume: string): Promise<string[]> {
    return (await this.handWrittenKeys()).filter((key) => key.startsWith(`${volume}.`));
  }

  /** Keys of hand-written volfiles of clients and bricks: those without a slash. */
  async handWrittenKeys(): Promise<string[]> {
    const keys: string[] = [];
    if (this.directory === undefined) return keys;
    for await (const { name } of Deno.readDir(this.directory)) {
      if (name.endsWith(SUFFIX)) keys.push(name.slice(0, -SUFFIX.length));
    }
    return keys;
  }

  async #text(name: string, trusted: boolean): Promise<string | FopError> {
    const text = await this.#file(name);
    if (text !== ENOENT) return text;
    return await this.make(name.slice(0, -SUFFIX.length), trusted) ?? ENOENT;
  }

  async #file(name: string): Promise<string | FopError> {
    if (this.directory === undefined) return ENOENT;
    try {
      const path = `${this.directory}/${name}`;
      if ((await Deno.stat(path)).size > VOLFILE_MAX) return ENAMETOOLONG;
      return await Deno.readTextFile(path);
    } catch (error) {
      return ABSENT.some((each) => error instanceof each) ? ENOENT : EIO;
    }
  }

  /**
   * Calls `changed` whenever the text of a hand-written volfile that was read is another, until `signal`.
   * Throws what Deno throws if changes cannot be seen. A burst of changes (a file written in pieces) is looked at once, `settleMs` after its first.
   */
  async watch(
    changed: (read: ReadVolfile[]) => void,
    { signal, clock, settleMs = 100 }: { signal: AbortSignal; clock: Clock; settleMs?: number },
  ): Promise<void> {
    if (this.directory === undefined) return;
    const watcher = Deno.watchFs(this.directory, { recursive: true });
    signal.addEventListener("abort", () => watcher.close(), { once: true });
    let looking: Promise<void> | undefined;
    for await (const event of watcher) {
      if (event.kind === "access" || looking) continue;
      looking = clock.delay(settleMs, signal).then(async () => {
        looking = undefined;
        const read = await this.refresh();
        if (read.length) changed(read);
      }, () => {});
    }
    await looking;
  }

  /** Volfiles that were read and have another text now; `volume`: only that one's are looked at. */
  async refresh(volume?: string): Promise<ReadVolfile[]> {
    const changed: ReadVolfile[] = [];
    for (const read of [...this.#read.values()]) {
      if (volume !== undefined && volumeOfKey(read.name) !== volume) continue;
      const now = await this.#text(read.name, read.trusted);
      // A file that is away or empty is being replaced, or its volume is gone: clients keep what they have.
      if (typeof now !== "string" || now === "" || now === read.text) continue;
      read.text = now;
      changed.push(read);
    }
    return changed;
  }
}
