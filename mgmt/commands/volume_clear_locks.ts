/** `volume clear-locks`: takes locks from clients that do not give them back. */

import { ENOENT, fopError } from "core/errno.ts";
import { str, textKey, Xdata } from "core/xdata.ts";
import {
  type Arguments,
  type ArgumentTable,
  keyword,
  managed,
  operand,
  optional,
  Refusal,
  volumeName,
} from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { askBricks, runningBricks, startedVolume } from "mgmt/commands/ask_bricks.ts";
import { setSize } from "mgmt/records.ts";
import { getAttribute } from "rpc/programs/brick_ops.ts";

const KINDS = ["blocked", "granted", "all"] as const;
const TYPES = ["inode", "entry", "posix"] as const;

/** What it answers: a line for every brick that has the file. */
export type VolumeClearLocks = { readonly volume: string; readonly summary: string };

const args = {
  volume: volumeName,
  path: operand("<path>", { help: "The file, from the volume's root." }),
  kind: keyword("kind", "{blocked|granted|all}", {
    help: "Locks that wait, that are held, or both.",
    parse: oneOf(KINDS),
  }),
  type: operand("{inode|entry|posix}", {
    help: "Which locks: those of layers, on names, or of applications.",
    offers: TYPES,
    parse: oneOf(TYPES),
  }),
  which: optional("[range|basename]", {
    help: "Only on that range (WHENCE,START-SIZE), or on that name in the directory.",
  }),
} satisfies ArgumentTable;

/** See the head of this file. */
export const volumeClearLocks = managed({
  path: "volume clear-locks",
  summary: "Clear locks held on path",
  args,
  scope: "volume",
  rest: "POST /volumes/{volume}/clear-locks",
  examples: [{
    what: "Locks of applications on a file",
    line: "mortar volume clear-locks v1 /dir/file kind granted posix",
  }],
  async check(cluster, given) {
    await startedVolume(cluster, given.volume);
    attributeName(given);
  },
  async apply(cluster, given): Promise<VolumeClearLocks> {
    const volume = await cluster.volume(given.volume);
    const bricks = runningBricks(cluster, volume);
    const name = attributeName(given);
    // Scripts leave the first slash out.
    const path = given.path.startsWith("/") ? given.path : `/${given.path}`;
    const input = Xdata.of([["path", str(path)], ["name", str(name)]]);
    const told = await askBricks(cluster, volume, bricks, getAttribute, input);
    const failed = told.find(({ answer }) => answer.ret < 0 && answer.errno !== ENOENT.errno);
    const done = told.filter(({ answer }) => answer.ret >= 0);
    // Most files are on some bricks only.
    if (failed || !done.length) throw new Refusal(reason(failed?.answer.errno ?? ENOENT.errno));
    // A line for every copy, as GlusterFS prints; of a directory, what all sets say is said once.
    const sets = Map.groupBy(
      done,
      ({ brick }) => Math.floor(volume.bricks.indexOf(brick) / setSize(volume)),
    );
    const lines = [...sets.values()].map((set) =>
      set.map(({ answer }) => answer.output?.get(textKey(name)) ?? "").join("\n")
    );
    return { volume: volume.name, summary: [...new Set(lines)].join("\n") };
  },
  text: ({ summary }) => `Volume clear-locks successful\n${summary}\n`,
  xml: ({ summary }) => [element("cliOp", "volClearLocks"), element("output", summary)],
  failed: (message) => `Volume clear-locks unsuccessful\n${message}`,
});

function oneOf<W extends string>(words: readonly W[]): (given: string) => W {
  return (given) => {
    const found = words.find((each) => each === given);
    if (found === undefined) throw new RangeError(`expected one of ${words.join(", ")}`);
    return found;
  };
}

// What `features/locks` clears locks by.
function attributeName({ kind, type, which }: Arguments<typeof args>): string {
  if (kind === undefined) throw new Refusal(`"kind" is missing: one of ${KINDS.join(", ")}`);
  const name = `glusterfs.clrlk.t${type}.k${kind}`;
  if (which === undefined) return name;
  if (type === "entry" && !/[/\0]/.test(which)) return `${name}.${which}`;
  if (type !== "entry" && /^\d+,\d+-\d+$/.test(which)) return `${name}.${which}`;
  throw new Refusal(
    type === "entry"
      ? `"${which}" is no name of a file`
      : `"${which}" is no range: expected WHENCE,START-SIZE, such as 0,0-1024`,
  );
}

function reason(errno: number): string {
  const why = fopError(-errno).message.replace(/^E\w+: /, "");
  return `clear-locks getxattr command failed. Reason: ${why}`;
}
