/**
 * Places where a process may die: before each transaction of the index, each system call of the
 * history that changes something, and each change of the small volume. Between two of them nothing
 * changes on the disk (a process that dies leaves what is in the page cache), so that copies of the
 * disk at each are all the disks that a kill can leave.
 */

import { Notes } from "snapshot/engine/notes.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";

type Calls = Record<string, (...args: unknown[]) => unknown>;

// One system call each, but for the first of a new file.
const SEGMENT_CALLS = ["append", "punch", "remove"];
const STORE_CALLS = ["transaction", "checkpoint"];
const VOLUME_CALLS = ["make", "makeDirectory", "removeDirectory", "link", "unlink", "write"];
const DENO_CALLS = ["removeSync", "renameSync", "linkSync"];

/** Calls `point` at every such place until it is disposed of. */
export function atKillPoints(point: (before: string) => void): Disposable {
  const undo: (() => void)[] = [];
  let inside = false;
  const told = (before: string) => {
    // What `point` does itself is not part of the story.
    if (inside) return;
    inside = true;
    try {
      point(before);
    } finally {
      inside = false;
    }
  };
  const watch = (of: object, names: readonly string[]) => {
    const calls = of as Calls;
    for (const name of names) {
      const call = calls[name]!, own = Object.hasOwn(of, name);
      calls[name] = function (this: unknown, ...args) {
        told(name);
        return call.apply(this, args);
      };
      undo.push(() => own ? calls[name] = call : delete calls[name]);
    }
  };
  watch(Segments.prototype, SEGMENT_CALLS);
  watch(Notes.prototype, ["put"]);
  watch(HistoryStore.prototype, STORE_CALLS);
  watch(SmallVolume.prototype, [...VOLUME_CALLS, "truncate"]);
  watch(Deno, DENO_CALLS);
  return {
    [Symbol.dispose]() {
      for (const back of undo) back();
    },
  };
}

/** Copies the files of a directory, each by itself, as they are in this turn. */
export function copyFiles(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyFiles(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}
