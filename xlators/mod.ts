/** The table of all translators: a volfile's `type` line names one of these. */

import type { MakeHealer } from "core/healer.ts";
import { type XlatorType, xlatorTypes } from "core/registry.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { ReplicateHealer } from "xlators/cluster/replicate/heal.ts";
import { replicate } from "xlators/cluster/replicate/replicate.ts";
import { delayGen } from "xlators/debug/delay-gen/delay_gen.ts";
import { errorGen } from "xlators/debug/error-gen/error_gen.ts";
import { ioStats } from "xlators/debug/io-stats/io_stats.ts";
import { trace } from "xlators/debug/trace/trace.ts";
import { accessControl } from "xlators/features/access-control/access_control.ts";
import { arbiter } from "xlators/features/arbiter/arbiter.ts";
import { barrier } from "xlators/features/barrier/barrier.ts";
import { changedRanges } from "xlators/features/changed-ranges/changed_ranges.ts";
import { clone } from "xlators/features/clone/clone.ts";
import { gfidAccess } from "xlators/features/gfid-access/gfid_access.ts";
import { index } from "xlators/features/index/index.ts";
import { locks } from "xlators/features/locks/locks.ts";
import { qcow2 } from "xlators/features/qcow2/qcow2.ts";
import { readOnly } from "xlators/features/read-only/read_only.ts";
import { snapshot } from "xlators/features/snapshot/snapshot.ts";
import { upcall } from "xlators/features/upcall/upcall.ts";
import { utime } from "xlators/features/utime/utime.ts";
import { worm } from "xlators/features/worm/worm.ts";
import { fuse } from "xlators/mount/fuse/fuse.ts";
import { ioThreads } from "xlators/performance/io-threads/io_threads.ts";
import { mdCache } from "xlators/performance/md-cache/md_cache.ts";
import { openBehind } from "xlators/performance/open-behind/open_behind.ts";
import { quickRead } from "xlators/performance/quick-read/quick_read.ts";
import { readAhead } from "xlators/performance/read-ahead/read_ahead.ts";
import { readdirAhead } from "xlators/performance/readdir-ahead/readdir_ahead.ts";
import { writeBehind } from "xlators/performance/write-behind/write_behind.ts";
import { client } from "xlators/protocol/client/client.ts";
import { server } from "xlators/protocol/server/server.ts";
import { posix } from "xlators/storage/posix/posix.ts";

/** Every translator, in alphabetical order of type. */
// deno-lint-ignore no-explicit-any -- each type keeps its own option table
export const XLATORS: readonly XlatorType<any>[] = [
  distribute,
  replicate,
  delayGen,
  errorGen,
  ioStats,
  trace,
  accessControl,
  arbiter,
  barrier,
  changedRanges,
  clone,
  gfidAccess,
  index,
  locks,
  qcow2,
  readOnly,
  snapshot,
  upcall,
  utime,
  worm,
  fuse,
  ioThreads,
  mdCache,
  openBehind,
  quickRead,
  readAhead,
  readdirAhead,
  writeBehind,
  client,
  server,
  posix,
];

/** The same by type name. */
export const TYPES = xlatorTypes(XLATORS);

/** Who heals sets of copies, by the type of their layer. */
export const HEALERS: ReadonlyMap<string, MakeHealer> = new Map([
  ["cluster/replicate", (set) => new ReplicateHealer(set)],
]);
