/** Makes the stream of a snapshot, or of the difference of two. */

import { createHash } from "node:crypto";
import { ENXIO } from "core/errno.ts";
import type { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { Daemon } from "mgmt/cli/call.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { SnapshotDiff } from "mgmt/commands/snapshot_diff.ts";
import type { SnapshotInfo } from "mgmt/commands/snapshot_info.ts";
import type { Session } from "mgmt/file/session.ts";
import { askChangedRanges, askDaemon, askSnapshot } from "mgmt/snapshots/asked.ts";
import { parseToken, type Token } from "mgmt/snapshots/received.ts";
import { planAll, planChanges, type Planned } from "mgmt/snapshots/send_plan.ts";
import { DATA_MAX, StreamWriter } from "mgmt/snapshots/stream.ts";

/** What is to be sent. */
export interface WantedStream {
  readonly snapshot: string;
  /** Name of the older one that the receiver has. */
  readonly since: string | undefined;
  /** What the receiver told when it was interrupted. */
  readonly resume: string | undefined;
}

/** Writes the stream. Throws CommandError. */
export async function sendSnapshot(
  session: Session,
  daemon: Daemon,
  { snapshot, since, resume }: WantedStream,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const info = await sendable(daemon, snapshot);
  if (info.status !== "Started") {
    throw new CommandError(
      `Cannot send: snapshot ${snapshot} is not activated; "mortar snapshot activate ${snapshot}" ` +
        "does that",
    );
  }
  const base = since === undefined ? undefined : await sendable(daemon, since);
  const stream = streamOf(info, base), from = resume === undefined ? undefined : parsed(resume);
  if (from && from.stream !== stream) {
    throw new CommandError("Cannot send: that is the place in a stream of other snapshots");
  }
  const { server, volume: name } = info, text = `${snapshot} of ${name}`;
  const at = { ...server, volume: `snaps/${snapshot}/${name}`, path: "/", text };
  const view = await session.volume(at), writer = new StreamWriter();
  const { done, offset }: Token = from ?? { stream, done: 0, offset: 0 };
  const { id, description } = info, head = { stream, name: snapshot, snapshot: id, description };
  for (const bytes of writer.head({ ...head, base: baseId(base), done, offset })) {
    await write(bytes);
  }
  const sender = new Sender(session, daemon, view, writer, write, since, snapshot);
  await sender.all(
    base ? planChanges(view, await changesOf(daemon, since!, snapshot)) : planAll(view),
    {
      ...{ done, offset },
    },
  );
  await write(writer.end());
}

async function sendable(daemon: Daemon, name: string): Promise<SnapshotInfo> {
  const info = await askSnapshot(daemon, name);
  if (info.file === null) return info;
  throw new CommandError(`Cannot send: snapshot ${name} is of a file; snapshot export writes it`);
}

// A snapshot that was received stands for the one that it is a copy of.
function baseId(base: SnapshotInfo | undefined): string | null {
  return base ? base.origin ?? base.id : null;
}

function streamOf(info: SnapshotInfo, base: SnapshotInfo | undefined): string {
  return createHash("sha256").update(`1 ${info.id} ${baseId(base)}`).digest("hex").slice(0, 16);
}

function parsed(word: string): Token {
  try {
    return parseToken(word);
  } catch (error) {
    throw new CommandError(`Cannot resume at "${word}": ${(error as Error).message}`);
  }
}

async function changesOf(daemon: Daemon, old: string, now: string) {
  const { changes } = await askDaemon<SnapshotDiff>(daemon, ["snapshot", "diff", old, now]);
  return changes ?? [];
}

class Sender {
  readonly #writer: StreamWriter;
  readonly #write: (bytes: Uint8Array) => Promise<void>;

  constructor(
    private readonly session: Session,
    private readonly daemon: Daemon,
    private readonly view: Volume,
    writer: StreamWriter,
    write: (bytes: Uint8Array) => Promise<void>,
    private readonly since: string | undefined,
    private readonly snapshot: string,
  ) {
    this.#writer = writer;
    this.#write = write;
  }

  async all(
    plan: AsyncGenerator<Planned>,
    { done, offset }: { readonly done: number; readonly offset: number },
  ): Promise<void> {
    let at = 0;
    for await (const { make, file } of plan) {
      if (at++ < done) continue;
      this.session.check();
      const operation = await make();
      await this.#write(this.#writer.operation(operation));
      if (file && operation.do === "file") {
        this.session.progress.file(file.path, operation.size);
        await this.#data(file, operation.size, at === done + 1 ? offset : 0);
      }
    }
  }

  async #data(
    { path, isNew }: NonNullable<Planned["file"]>,
    size: number,
    from: number,
  ): Promise<void> {
    await this.view.using(`/${path}`, {}, async (file) => {
      if (isNew) return await this.#range(file, from, size, false);
      const { since, snapshot, daemon } = this;
      const { parts } = await askChangedRanges(daemon, since!, snapshot, `/${path}`);
      for await (const part of parts) {
        for (const [offset, length] of part) {
          await this.#range(file, Math.max(from, offset), Math.min(size, offset + length), true);
        }
      }
    });
  }

  // Data, and holes where something else may be.
  async #range(file: VolumeFile, start: number, end: number, holes: boolean): Promise<void> {
    for (let at = start; at < end;) {
      this.session.check();
      const data = Math.min(end, await nextData(file, at));
      if (data > at && holes) await this.#write(this.#writer.hole(at, data - at));
      if (data >= end) return;
      const until = Math.min(end, await file.seek(data, "hole"), data + DATA_MAX);
      const bytes = await file.read(data, until - data);
      if (!bytes.length) return;
      await this.#write(this.#writer.data(data, bytes));
      this.session.progress.add(bytes.length);
      at = data + bytes.length;
    }
  }
}

async function nextData(file: VolumeFile, offset: number): Promise<number> {
  try {
    return await file.seek(offset, "data");
  } catch (error) {
    if (ENXIO.matches(error)) return Infinity;
    throw error;
  }
}
