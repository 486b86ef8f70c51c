/**
 * What a brick told of itself, read from its dictionary (the answer to brick operation 4): every
 * key as GlusterFS's layers write it. A value that is missing reads as 0; a table that is
 * missing is left out.
 */

import { intKey, textKey, type Xdata } from "core/xdata.ts";
import {
  type CallStatus,
  type ClientStatus,
  type FdTableStatus,
  type FrameStatus,
  type InodeStatus,
  type InodeTableStatus,
  MALLINFO_FIELDS,
  type MemoryPool,
  type MemoryStatus,
} from "mgmt/status/volume_status.ts";

/** Most clients, files or inodes that are looked for, whatever the process says. */
const COUNT_MAX = 1 << 16;

/** Connected clients, for `clients` and `client-list`. */
export function clientFigures(dict: Xdata): ClientStatus[] {
  const at = new Figures(dict, "");
  return at.each("client", at.number("clientcount"), (client) => {
    const name = client.text("name");
    if (name === undefined && !client.has("hostname")) return undefined;
    return {
      hostname: client.text("hostname") ?? "",
      bytesRead: client.number("bytesread"),
      bytesWritten: client.number("byteswrite"),
      opVersion: client.number("opversion"),
      ...(name === undefined ? {} : { name }),
    };
  });
}

/** Memory of the process. */
export function memoryFigures(dict: Xdata): MemoryStatus {
  const at = new Figures(dict, "");
  return {
    mallinfo: Object.fromEntries(
      MALLINFO_FIELDS.map((name) => [name, at.number(`mallinfo.${name}`)]),
    ) as MemoryStatus["mallinfo"],
    pools: at.each(
      "pool",
      at.number("mempool-count"),
      (pool): MemoryPool | undefined =>
        !pool.has("name") ? undefined : ({
          name: pool.text("name") ?? "",
          hotCount: pool.number("hotcount"),
          coldCount: pool.number("coldcount"),
          paddedSizeof: pool.number("paddedsizeof"),
          allocCount: pool.number("alloccount"),
          maxAlloc: pool.number("max_alloc"),
          poolMisses: pool.number("pool-misses"),
          maxStdAlloc: pool.number("max-stdalloc"),
        }),
    ),
  };
}

/** Inode tables of its connections. */
export function inodeFigures(dict: Xdata): InodeTableStatus[] {
  const at = new Figures(dict, "");
  return at.each("conn", at.number("conncount"), (connection) => {
    const table = connection.inside("itable");
    if (!table.has("active_size")) return undefined;
    const list = (name: string, size: number) =>
      table.each(name, size, (inode): InodeStatus | undefined => {
        const gfid = inode.text("gfid");
        return gfid === undefined ? undefined : {
          gfid,
          nlookup: inode.number("nlookup"),
          ref: inode.number("ref"),
          iaType: inode.number("ia_type"),
        };
      });
    const activeSize = table.number("active_size");
    const lruSize = table.number("lru_size");
    const purgeSize = table.number("purge_size");
    return {
      lruLimit: table.number("lru_limit"),
      activeSize,
      lruSize,
      purgeSize,
      active: list("active", activeSize),
      lru: list("lru", lruSize),
      purge: list("purge", purgeSize),
    };
  });
}

/** Open files of its connections. */
export function fdFigures(dict: Xdata): FdTableStatus[] {
  const at = new Figures(dict, "");
  return at.each("conn", at.number("conncount"), (connection) => {
    const table = connection.inside("fdtable");
    if (!table.has("refcount")) return undefined;
    const maxFds = table.number("maxfds");
    return {
      refCount: table.number("refcount"),
      maxFds,
      firstFree: table.number("firstfree"),
      openFds: table.number("openfds"),
      entries: table.each("fdentry", maxFds, (fd, entry) =>
        !fd.has("pid") ? undefined : {
          entry,
          pid: fd.number("pid"),
          refCount: fd.number("refcount"),
          flags: fd.number("flags"),
        }),
    };
  });
}

/** How many calls are under way, and those of them that the brick described. */
export function callFigures(dict: Xdata): { pendingCalls: number; calls: CallStatus[] } {
  const pool = new Figures(dict, "callpool.");
  const pendingCalls = pool.number("count");
  const calls = pool.each("stack", pendingCalls, (stack) =>
    !stack.has("uid") ? undefined : {
      uid: stack.number("uid"),
      gid: stack.number("gid"),
      pid: stack.number("pid"),
      unique: stack.number("unique"),
      frames: stack.each("frame", stack.number("count"), frameFigures),
    });
  return { pendingCalls, calls };
}

function frameFigures(frame: Figures): FrameStatus | undefined {
  const translator = frame.text("translator");
  if (translator === undefined) return undefined;
  const names = {
    parent: frame.text("parent"),
    windFrom: frame.text("windfrom"),
    windTo: frame.text("windto"),
    unwindFrom: frame.text("unwindfrom"),
    unwindTo: frame.text("unwindto"),
  };
  return {
    refCount: frame.number("refcount"),
    translator,
    complete: frame.number("complete") !== 0,
    ...Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined)),
  };
}

/** Values whose names begin alike. */
class Figures {
  constructor(readonly dict: Xdata, readonly prefix: string) {}

  has(name: string): boolean {
    return this.dict.has(this.prefix + name);
  }

  number(name: string): number {
    return this.dict.get(intKey(this.prefix + name)) ?? 0;
  }

  text(name: string): string | undefined {
    return this.dict.get(textKey(this.prefix + name));
  }

  inside(name: string): Figures {
    return new Figures(this.dict, `${this.prefix}${name}.`);
  }

  /** What `read` answers for "NAME0", "NAME1", …, without the undefined. */
  each<T>(name: string, count: number, read: (at: Figures, index: number) => T | undefined): T[] {
    const found: T[] = [];
    const end = Math.min(count, COUNT_MAX);
    for (let index = 0; index < end; index++) {
      const value = read(this.inside(`${name}${index}`), index);
      if (value !== undefined) found.push(value);
    }
    return found;
  }
}
