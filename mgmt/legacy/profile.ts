/** `volume profile` and `volume top`, as dictionaries of the `gluster` program. */

import { type Entries, type RequestDict, wrong } from "mgmt/legacy/request_dict.ts";
import type { Run } from "mgmt/legacy/run.ts";

/** `op` (`gf1_cli_stats_op`). */
const START = 1, STOP = 2, INFO = 3, TOP = 4;
/** `info-op` (`gf1_cli_info_op`): the word for each. */
const INFO_WORDS: readonly string[] = ["", "", "incremental", "cumulative", "clear"];
/** `top-op` (`gf1_cli_top_op`). */
const TOP_WORDS: readonly string[] = [
  "clear",
  "open",
  "read",
  "write",
  "opendir",
  "readdir",
  "read-perf",
  "write-perf",
];
/** More than is ever useful, so that the command says what is right. */
const COUNT_MAX = 999_999_999;

/** PROFILE_VOLUME. */
export async function profile(run: Run, request: RequestDict): Promise<Entries> {
  const volume = request.text("volname");
  switch (request.number("op", TOP)) {
    case START:
      await run(["volume", "profile", volume, "start"]);
      return [["count", 0]];
    case STOP:
      await run(["volume", "profile", volume, "stop"]);
      return [["count", 0]];
    case INFO: {
      const form = INFO_WORDS[request.number("info-op", INFO_WORDS.length - 1)]!;
      const peek = request.flag("peek") ? ["peek"] : [];
      await run(["volume", "profile", volume, "info", ...form === "" ? [] : [form], ...peek]);
      return [];
    }
    case TOP:
      await run(topWords(volume, request));
      return [];
    default:
      throw wrong("op", "expected 1 to 4");
  }
}

function topWords(volume: string, request: RequestDict): string[] {
  const word = TOP_WORDS[request.number("top-op", TOP_WORDS.length - 1)]!;
  const counted = (name: string, key: string) =>
    request.has(key) ? [name, String(request.number(key, COUNT_MAX))] : [];
  const brick = request.optionalText("brick");
  if (word === "clear") return ["volume", "top", volume, word];
  return [
    ...["volume", "top", volume, word],
    ...request.flag("nfs") ? ["nfs"] : [],
    ...brick === undefined ? [] : ["brick", brick],
    ...counted("bs", "blk-size"),
    ...counted("count", "blk-cnt"),
    ...counted("list-cnt", "list-cnt"),
  ];
}
