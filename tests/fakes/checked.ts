/**
 * A layer that checks what passes between two others: arguments on the way down, replies and
 * failures on the way up. Graphs that tests build have one on each edge (`checkedTypes`); a layer
 * that hands on what no layer may is found where it does, not where it hurts.
 */

import { ok } from "node:assert/strict";
import type { Call, Client } from "core/call.ts";
import { FopError } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, Inode, NULL_GFID, parseGfid } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import type { XlatorType, XlatorTypes } from "core/registry.ts";
import { Xdata } from "core/xdata.ts";
import { type Json, type Node, Uniform, type Xlator } from "core/xlator.ts";
import { node } from "tests/fakes/node.ts";

/** Fops whose `name` is of an entry, as opposed to an attribute's or a lock's. */
const NAMED: ReadonlySet<FopName> = new Set<FopName>(
  ["lookup", "mknod", "mkdir", "unlink", "rmdir", "symlink", "link", "create", "namelink", "put"],
);
const ENTRY_NAMES = ["oldName", "newName"];
const INODES = ["inode", "parent", "oldParent", "newParent"];
const FDS = ["fd", "source"];
const NUMBERS = ["offset", "sourceOffset", "size"];
const ATTRIBUTES = [
  "stat",
  "pre",
  "post",
  "preParent",
  "postParent",
  "preOldParent",
  "postOldParent",
  "preNewParent",
  "postNewParent",
];

type Fields = Readonly<Record<string, unknown>>;

/** Throws an AssertionError unless `args` is what a layer may hand down as `fop`. */
export function checkArgs(fop: FopName, args: object): void {
  const fields = args as Fields;
  checkXdata(fop, fields);
  for (const key of INODES) {
    const inode = fields[key];
    if (inode === undefined) continue;
    ok(inode instanceof Inode, `${fop}: ${key} is no Inode`);
    ok(isGfid(inode.gfid), `${fop}: ${key} has the gfid "${inode.gfid}"`);
  }
  for (const key of FDS) {
    if (fields[key] !== undefined) ok(fields[key] instanceof Fd, `${fop}: ${key} is no Fd`);
  }
  for (const key of NUMBERS) {
    const value = fields[key];
    if (typeof value === "number") ok(isCount(value), `${fop}: ${key} is ${value}`);
    else if (typeof value === "bigint") ok(value >= 0n, `${fop}: ${key} is ${value}`);
  }
  for (const key of NAMED.has(fop) ? ["name", ...ENTRY_NAMES] : ENTRY_NAMES) {
    if (fields[key] !== undefined) checkName(fop, key, fields[key]);
  }
  const { data } = fields;
  if (data !== undefined) ok(data instanceof Uint8Array, `${fop}: data is no Uint8Array`);
}

function checkName(fop: FopName, key: string, name: unknown): void {
  ok(typeof name === "string", `${fop}: ${key} is no text`);
  const nameless = fop === "lookup" && (name === "" || name === ".");
  if (nameless) return;
  ok(name !== "" && name !== "." && name !== "..", `${fop}: ${key} is "${name}"`);
  ok(!/[/\0]/.test(name), `${fop}: ${key} holds / or NUL`);
  ok(encodeName(name).length <= 255, `${fop}: ${key} has more than 255 bytes`);
}

/** Throws an AssertionError unless `reply` is what a layer may answer to `fop` with `args`. */
export function checkReply(fop: FopName, args: object, reply: object): void {
  const asked = args as Fields, fields = reply as Fields;
  checkXdata(fop, fields);
  for (const key of ATTRIBUTES) {
    const stat = fields[key] as Iatt | undefined;
    if (stat !== undefined) checkIatt(`${fop}: reply's ${key}`, stat);
  }
  if (fop === "stat" || fop === "setattr") {
    const stat = (fields.stat ?? fields.post) as Iatt | undefined;
    ok(!stat || stat.gfid === (asked.inode as Inode).gfid, `${fop}: answers another inode's`);
  }
  if (fop === "open" || fop === "opendir" || fop === "create") {
    ok(fields.fd instanceof Fd, `${fop}: answers no Fd`);
  }
  if (fop === "readv") {
    const { data, eof } = reply as Reply<"readv">;
    const { size } = args as Args<"readv">;
    ok(data.length <= size, `readv: ${data.length} bytes for ${size}`);
    ok(eof || data.length === size, `readv: ${data.length} bytes of ${size}, but no end`);
  }
  if (fop === "readdir" || fop === "readdirp") checkEntries(fop, reply as Reply<"readdirp">);
  if (fop === "seek") ok(isCount((reply as Reply<"seek">).offset), "seek: offset");
}

function checkEntries(fop: FopName, { entries, eof }: Reply<"readdirp">): void {
  ok(eof || entries.length, `${fop}: no entries and no end`);
  for (const { name, offset, stat } of entries) {
    ok(name !== "" && !/[/\0]/.test(name), `${fop}: an entry "${name}"`);
    ok(offset > 0n, `${fop}: the cookie of "${name}" is ${offset}`);
    if (stat) checkIatt(`${fop}: "${name}"`, stat);
  }
}

function checkIatt(what: string, stat: Iatt): void {
  ok(isGfid(stat.gfid), `${what} has the gfid "${stat.gfid}"`);
  for (const key of ["mode", "nlink", "uid", "gid", "size", "blocks"] as const) {
    ok(isCount(stat[key]), `${what} has ${key} ${stat[key]}`);
  }
  ok(stat.mode & 0o170000, `${what} has no type`);
}

function checkXdata(fop: FopName, { xdata }: Fields): void {
  if (xdata !== undefined) ok(xdata instanceof Xdata, `${fop}: xdata is no Xdata`);
}

function isGfid(gfid: string): boolean {
  return gfid !== NULL_GFID && parseGfid(gfid) === gfid;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Stands for `child` and checks all that passes. */
export class Checked extends Uniform {
  /** Absent where the child must be made anew. */
  reconfigure?: (values: never) => void;

  constructor(child: Xlator, place: Node = node(child.name)) {
    super({ ...place, name: child.name, children: [child] });
    if (child.reconfigure) this.reconfigure = (values) => child.reconfigure!(values);
  }
  async start(): Promise<void> {
    await this.child.start?.();
  }
  async stop(): Promise<void> {
    await this.child.stop?.();
  }
  clientGone(client: Client): void {
    this.child.clientGone?.(client);
  }
  state(): Json {
    return this.child.state?.() ?? null;
  }

  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    checkArgs(fop, args);
    try {
      const reply = await this.wind(fop, call, args);
      checkReply(fop, args, reply);
      return reply;
    } catch (error) {
      ok(error instanceof FopError, `${this.name}.${fop} threw ${error}, not a FopError`);
      throw error;
    }
  }
}

/** The same types, whose layers are checked where others wind to them. */
export function checkedTypes(types: XlatorTypes): XlatorTypes {
  return new Map([...types].map(([name, type]): [string, XlatorType] => [
    name,
    { ...type, create: (place, values) => new Checked(type.create(place, values), place) },
  ]));
}
