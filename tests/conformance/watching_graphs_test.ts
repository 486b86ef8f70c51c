/** Layers that watch, tune or guard: over a brick in memory, each with its options on, nothing else changes. */

import { ROOT } from "core/call.ts";
import { InodeTable } from "core/inode.ts";
import { type OptionTable, readOptions } from "core/options.ts";
import type { XlatorType } from "core/registry.ts";
import { conformance, type ConformanceOptions } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { delayGen } from "xlators/debug/delay-gen/delay_gen.ts";
import { errorGen } from "xlators/debug/error-gen/error_gen.ts";
import { ioStats } from "xlators/debug/io-stats/io_stats.ts";
import { trace } from "xlators/debug/trace/trace.ts";
import { accessControl } from "xlators/features/access-control/access_control.ts";
import { barrier } from "xlators/features/barrier/barrier.ts";
import { gfidAccess } from "xlators/features/gfid-access/gfid_access.ts";
import { index } from "xlators/features/index/index.ts";
import { qcow2 } from "xlators/features/qcow2/qcow2.ts";
import { readOnly } from "xlators/features/read-only/read_only.ts";
import { upcall } from "xlators/features/upcall/upcall.ts";
import { utime } from "xlators/features/utime/utime.ts";
import { worm } from "xlators/features/worm/worm.ts";
import { ioThreads } from "xlators/performance/io-threads/io_threads.ts";
import { mdCache } from "xlators/performance/md-cache/md_cache.ts";
import { openBehind } from "xlators/performance/open-behind/open_behind.ts";
import { quickRead } from "xlators/performance/quick-read/quick_read.ts";
import { readAhead } from "xlators/performance/read-ahead/read_ahead.ts";
import { readdirAhead } from "xlators/performance/readdir-ahead/readdir_ahead.ts";
import { writeBehind } from "xlators/performance/write-behind/write_behind.ts";

function over<T extends OptionTable>(
  type: XlatorType<T>,
  options: Record<string, string> = {},
  without: NonNullable<ConformanceOptions["without"]> = [],
): void {
  conformance(`${type.type} over a brick in memory`, async () => {
    const inodes = new InodeTable();
    const brick = new MemoryBrick(node("memory", [], { inodes }));
    const directory = type.options["index-base"] && await Deno.makeTempDir();
    const given = { ...options, ...(directory && { "index-base": `${directory}/indices` }) };
    const values = readOptions(type.options, new Map(Object.entries(given)));
    const top = type.create(node("top", [brick], { inodes }), values);
    await top.start?.();
    const stop = async () => {
      await top.stop?.();
      if (directory) await Deno.remove(directory, { recursive: true });
    };
    return { top, inodes, call: ROOT, stop };
  }, { without: ["locks", ...without] });
}

over(ioStats, { "count-fop-hits": "on", "latency-measurement": "on" });
over(trace, { "log-history": "on" });
over(errorGen, { failure: "0" });
over(delayGen, { "delay-percentage": "5", "delay-duration": "1" });
over(index);
over(gfidAccess);
over(accessControl);
over(upcall, { "cache-invalidation": "on" });
over(utime);
over(barrier);
over(qcow2);
over(readOnly);
// Its own xattrs are listed among those of new files, and files are not removed unseen.
over(worm, { "worm-file-level": "on" }, [
  "xattrs",
  "names: rmdir with flag 1 takes all that is in it",
]);
over(ioThreads);
// What is known of a name tells nothing of its parent, and all inodes share what is known of space.
over(
  mdCache,
  { "md-cache-timeout": "600", "md-cache-statfs": "on", "xattr-cache-list": "user.*" },
  [
    "lookup: a name answers its inode and the parent's attributes",
    "data: statfs of an inode that is not there is ESTALE",
  ],
);
// Whether a file is open, and can be, is told when it is used.
const UNOPENED = [
  "answers: open files are counted, those that can write apart",
  "lookup: fops on a gfid that no file has are ENOENT or ESTALE",
] as const;
over(openBehind, {}, UNOPENED);
over(openBehind, { "read-after-open": "off" }, UNOPENED);
over(quickRead, {}, ["answers: open files are counted, those that can write apart"]);
over(readAhead, { "page-size": "4096" });
over(readdirAhead);
// Nobody knows what attributes a file will have when its writes are done.
over(writeBehind, {}, ["data: what is written is read back, with attributes before and after"]);
