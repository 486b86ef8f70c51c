/** `snapshot check`: whether what a brick keeps for snapshots is whole. */

import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { exists } from "core/lib/files.ts";
import { type Command, command, CommandError } from "mgmt/cli/command.ts";
import type { Globals } from "mgmt/cli/globals.ts";
import { shownName } from "mgmt/file/listing.ts";
import { sizeText } from "mgmt/file/progress.ts";
import { say } from "mgmt/file/session.ts";
import { check, type Checked, type Damage } from "snapshot/engine/check.ts";
import { HistoryError } from "snapshot/engine/store.ts";
import { namesOfHandle } from "snapshot/handle_names.ts";

/** Deepest directory whose path is looked up. */
const DEPTH_MAX = 1024;

const REMEDY =
  "What to do: delete the snapshots that are named; or, if the brick has a replica that is sound, " +
  "stop the brick, move its .glusterfs/history away and start it: it gets them from there.";

/** The command; `globals` say how to print. */
export function snapshotCheck({ form }: Pick<Globals, "form">): Command {
  return command({
    name: "snapshot check",
    summary: "Say whether what a brick keeps for its snapshots is whole",
    description: [
      "Reads all old data of a brick of this machine and compares it with its checksums; it changes " +
      "nothing, and the brick may be running. Exit code 0: all is well; 1: it is not. --json prints JSON.",
    ],
    options: {},
    operands: { label: "BRICK", min: 1, max: 1 },
    examples: [{ what: "A brick, by its directory", line: "mortar snapshot check /srv/brick1" }],
    async run(_options, [brick]) {
      const history = `${brick}/.glusterfs/history`;
      if (!exists(`${brick}/.glusterfs`)) {
        throw new CommandError(`Cannot check "${brick}": it is no brick; name a brick's directory`);
      }
      if (!exists(history)) {
        await say(form === "json" ? "{}\n" : `${brick}: no snapshot was ever taken\n`);
        return 0;
      }
      const found = await checked(history, brick!);
      await say(form === "json" ? json(found, brick!) : text(found, brick!));
      return found.damage.length ? 1 : 0;
    },
  });
}

async function checked(history: string, brick: string): Promise<Checked> {
  try {
    return await check(history);
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error;
    throw new CommandError(`Cannot check "${brick}": ${error.message}`);
  }
}

function text({ readers, rows, bytes, damage, more, leftovers }: Checked, brick: string): string {
  const lines = [
    `${brick}: ${readers} snapshots and clones, ${rows} rows, ${sizeText(bytes)} of old data`,
  ];
  for (const each of damage) {
    const names = each.snapshots.map(shownName).join(", ");
    const where = pathOf(brick, each.gfid);
    const what = where === undefined ? each.what : `${shownName(where)}: ${each.what}`;
    lines.push(`damaged: ${what}${names && `; seen by ${names}`}`);
  }
  if (more) lines.push(`damaged: ${more} more`);
  for (const line of leftovers) lines.push(`left over: ${line}`);
  lines.push(damage.length ? REMEDY : "All old data is what was kept.");
  return lines.map((line) => `${line}\n`).join("");
}

function json(found: Checked, brick: string): string {
  const damage = found.damage.map((each) => ({ ...each, path: pathOf(brick, each.gfid) ?? null }));
  return `${JSON.stringify({ ...found, damage }, null, 4)}\n`;
}

/** Where a file is now; its gfid if it has no name any more. */
function pathOf(brick: string, gfid: Damage["gfid"]): string | undefined {
  if (gfid === undefined) return undefined;
  const names: string[] = [];
  let at: Gfid = gfid;
  while (at !== ROOT_GFID && names.length < DEPTH_MAX) {
    const handle = `${brick}/.glusterfs/${at.slice(0, 2)}/${at.slice(2, 4)}/${at}`;
    const [first] = namesOfHandle(handle);
    if (!first) return `<gfid:${gfid}>`;
    names.unshift(first.name);
    at = first.parent;
  }
  return `/${names.join("/")}`;
}
