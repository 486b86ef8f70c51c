/** What a process beside the daemon asks it about snapshots: words of commands, answered as JSON. */

import type { Json } from "core/xlator.ts";
import { call, type Daemon, NotReached } from "mgmt/cli/call.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { ChangedFile, SnapshotDiff } from "mgmt/commands/snapshot_diff.ts";
import type { SnapshotInfo, SnapshotInfos } from "mgmt/commands/snapshot_info.ts";
import { plain } from "mgmt/plain.ts";

/** How long an answer may take. */
const PATIENCE_MS = 600_000;

/** Has the daemon carry out a command. Throws CommandError with what it says. */
export async function askDaemon<T extends Json>(
  daemon: Daemon,
  words: readonly string[],
): Promise<T> {
  let text: string;
  try {
    const asked = { words, form: "json", manner: "mortar", confirmed: true } as const;
    text = (await call(daemon, asked, AbortSignal.timeout(PATIENCE_MS))).stdout;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    if (!(error instanceof NotReached)) {
      throw new CommandError(`Cannot hear from the management daemon: ${plain(error)}`);
    }
    throw new CommandError(
      `Cannot reach the management daemon (${error.message}); start it with "mortar mgmt", or name ` +
        "its place with --home or --socket",
    );
  }
  const answer = JSON.parse(text) as
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly error: { readonly message: string } };
  if (answer.ok) return answer.value;
  throw new CommandError(answer.error.message.trimEnd());
}

/** A snapshot, and where clients find its volume. Throws CommandError. */
export async function askSnapshot(daemon: Daemon, name: string): Promise<SnapshotInfo> {
  return (await askDaemon<SnapshotInfos>(daemon, ["snapshot", "info", name])).snapshots[0]!;
}

/** One file between two snapshots. */
export interface AskedChanges {
  readonly oldSize: number;
  readonly newSize: number;
  /** As `FileChanges.ranges`, as many as one answer has; more is asked for as they are taken. Throws CommandError. */
  readonly parts: AsyncGenerator<readonly (readonly [offset: number, length: number])[]>;
}

/**
 * Which bytes of a file differ between two snapshots (`now` "-": and now): for exports of what
 * changed, and for whoever serves changed blocks. `path` undefined: a snapshot is of one file.
 * Throws CommandError.
 */
export async function askChangedRanges(
  daemon: Daemon,
  old: string,
  now: string,
  path: string | undefined,
): Promise<AskedChanges> {
  const ask = async (from: number): Promise<ChangedFile> => {
    const words = ["snapshot", "diff", old, now, ...path === undefined ? [] : ["--file", path]];
    const { file } = await askDaemon<SnapshotDiff>(daemon, [...words, "--from", String(from)]);
    if (!file) throw new CommandError("Cannot tell ranges: name a file");
    return file;
  };
  const first = await ask(0);
  async function* parts() {
    for (let part = first;;) {
      yield part.ranges;
      if (part.next === null) return;
      part = await ask(part.next);
    }
  }
  const { oldSize, newSize } = first;
  return { oldSize, newSize, parts: parts() };
}
