/** A directory of volfiles, served by key: key `v1` or `/v1` is `v1.vol`, `shd/v1` is `shd/v1.vol`. */

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

/** The volfiles below a directory, and who wants to know when they change. */
export class VolfileDirectory {
  #served = new Map<string, string>();

  constructor(readonly path: string) {}

  /** The text of `key`'s volfile as it is now. Throws ENOENT, ENAMETOOLONG (over 16 MiB), EIO. */
  async read(key: string): Promise<string> {
    const text = await this.peek(key);
    const name = volfileName(key)!;
    // An earlier reader has the text that is remembered, and must hear of this one.
    if (!this.#served.has(name)) this.#served.set(name, text);
    return text;
  }

  /** As `read`, but changes of it interest nobody. */
  async peek(key: string): Promise<string> {
    const name = volfileName(key);
    if (name === undefined) throw ENOENT;
    const text = await this.#text(name);
    if (typeof text !== "string") throw text;
    return text;
  }

  /** Whether there is a volfile under `key`. */
  async has(key: string): Promise<boolean> {
    const name = volfileName(key);
    return name !== undefined && typeof await this.#text(name) === "string";
  }

  /** Keys of a volume's brick volfiles: those that begin with its name and a dot. */
  async keysOf(volume: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { name } of Deno.readDir(this.path)) {
      if (name.startsWith(`${volume}.`) && name.endsWith(SUFFIX)) {
        keys.push(name.slice(0, -SUFFIX.length));
      }
    }
    return keys;
  }

  async #text(name: string): Promise<string | FopError> {
    try {
      const path = `${this.path}/${name}`;
      if ((await Deno.stat(path)).size > VOLFILE_MAX) return ENAMETOOLONG;
      return await Deno.readTextFile(path);
    } catch (error) {
      return ABSENT.some((each) => error instanceof each) ? ENOENT : EIO;
    }
  }

  /**
   * Calls `changed` whenever the text of a volfile that was read is another, until `signal`.
   * Throws what Deno throws if changes cannot be seen. A burst of changes (a file written in pieces) is looked at once, `settleMs` after its first.
   */
  async watch(
    changed: (names: string[]) => void,
    { signal, clock, settleMs = 100 }: { signal: AbortSignal; clock: Clock; settleMs?: number },
  ): Promise<void> {
    const watcher = Deno.watchFs(this.path, { recursive: true });
    signal.addEventListener("abort", () => watcher.close(), { once: true });
    let looking: Promise<void> | undefined;
    for await (const event of watcher) {
      if (event.kind === "access" || looking) continue;
      looking = clock.delay(settleMs, signal).then(async () => {
        looking = undefined;
        const names = await this.refresh();
        if (names.length) changed(names);
      }, () => {});
    }
    await looking;
  }

  /** Names of volfiles that were read and have another text now. */
  async refresh(): Promise<string[]> {
    const names: string[] = [];
    for (const [name, before] of this.#served) {
      const now = await this.#text(name);
      // A file that is away or empty is being replaced, or its volume is gone: clients keep what they have.
      if (typeof now !== "string" || now === "" || now === before) continue;
      this.#served.set(name, now);
      names.push(name);
    }
    return names;
  }
}
