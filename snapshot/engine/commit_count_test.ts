import { strictEqual as equal, throws } from "node:assert/strict";
import { EIO } from "core/errno.ts";
import { CommitCount } from "snapshot/engine/commit_count.ts";
import { HistoryStore } from "snapshot/engine/store.ts";

function inDirectory(body: (path: string) => void): () => void {
  return () => {
    const directory = Deno.makeTempDirSync({ prefix: "count-" });
    try {
      body(`${directory}/index.sqlite`);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  };
}

Deno.test(
  "snapshot/engine: an index that is looked at has another version after each commit",
  inDirectory((path) => {
    const store = HistoryStore.open(path), looked = HistoryStore.look(path);
    const seen = new Set([looked.dataVersion]);
    equal(looked.dataVersion, [...seen][0]);
    store.transaction(() => store.reachEpoch(5));
    seen.add(looked.dataVersion);
    throws(() =>
      store.transaction(() => {
        throw EIO;
      })
    );
    store.transaction(() => store.reachEpoch(6));
    seen.add(looked.dataVersion);
    equal(seen.size, 3);
    store.close();
    // What was committed before a kill may not have been counted.
    const again = HistoryStore.open(path);
    seen.add(looked.dataVersion);
    equal(seen.size, 4);
    again.close();
    looked.close();
  }),
);

Deno.test(
  "snapshot/engine: an index whose process was killed in a commit has SQLite's versions",
  inDirectory((path) => {
    const store = HistoryStore.open(path), looked = HistoryStore.look(path);
    using count = CommitCount.keep(`${path}-count`);
    count.begin();
    const before = looked.dataVersion;
    equal(before < 0, true);
    equal(looked.dataVersion, before);
    store.reachEpoch(5);
    equal(looked.dataVersion < 0 && looked.dataVersion !== before, true);
    count.end();
    equal(looked.dataVersion > 0, true);
    store.close();
    looked.close();
  }),
);
