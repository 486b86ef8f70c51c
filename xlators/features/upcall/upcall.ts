import type { Call, Client } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { ENOSPC, FopError } from "core/errno.ts";
import { type Args, DONE, type Empty, type FopName, type Reply } from "core/fops.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { bool, duration, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type DictValue, valueBytes, Xdata } from "core/xdata.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import {
  AFR_PREFIX,
  NAME_FLAGS,
  type Report,
  type Rule,
  RULES,
} from "xlators/features/upcall/rules.ts";
import { type Detail, Watchers } from "xlators/features/upcall/watchers.ts";

const options = {
  "cache-invalidation": bool({
    default: false,
    volumeKey: "features.cache-invalidation",
    help: "Tell clients when another client changed a file they accessed lately.",
  }),
  "cache-invalidation-timeout": duration({
    default: 60,
    min: 1,
    max: 86400,
    volumeKey: "features.cache-invalidation-timeout",
    help: "How long after its last access a client still hears of changes; what it caches must " +
      "not be trusted for longer than that.",
  }),
} satisfies OptionTable;

/** `ipc` number by which clients name the xattrs they cache (GF_IPC_TARGET_UPCALL). */
const IPC_UPCALL = 2;
/** Names that clients may register; those with wildcards cost a look at every change. */
const NAMES_MAX = 1024, PATTERNS_MAX = 32, PATTERN_SIZE_MAX = 256;
/** Of a change of more xattrs at once all are told: looking at each would stop everybody. */
const LOOKED_AT_MAX = 64;

class Upcall extends Uniform implements Report {
  #on: boolean;
  #timeoutSec: number;
  #sweeping: Timer | undefined;
  readonly #names = new Set<string>();
  readonly #patterns = new Set<string>();
  readonly #watchers: Watchers;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#on = values["cache-invalidation"];
    this.#timeoutSec = values["cache-invalidation-timeout"];
    this.#watchers = new Watchers(this.env.clock, this.#timeoutSec, (event) => this.emit(event));
  }

  start(): Promise<void> {
    this.#sweep();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#sweeping?.cancel();
    return Promise.resolve();
  }

  reconfigure(values: Values<typeof options>): void {
    this.#on = values["cache-invalidation"];
    this.#timeoutSec = values["cache-invalidation-timeout"];
    this.#watchers.setTimeoutSec(this.#timeoutSec);
    if (!this.#on) this.#watchers.clear();
    this.#sweep();
  }

  clientGone(client: Client): void {
    this.#watchers.gone(client);
  }

  state(): Json {
    return {
      "files-watched": this.#watchers.size,
      "xattrs-registered": [...this.#names, ...this.#patterns],
    };
  }

  #sweep(): void {
    this.#sweeping?.cancel();
    this.#sweeping = this.#on
      ? this.env.clock.every(this.#timeoutSec * 500, () => this.#watchers.sweep())
      : undefined;
  }

  seen(client: Client, gfid: Gfid): void {
    this.#watchers.seen(client, gfid);
  }

  changed(client: Client, gfid: Gfid, flags: number, detail: Detail): void {
    this.#watchers.changed(client, gfid, flags, detail);
  }

  registered(xattrs: Xdata | undefined): Xdata | undefined {
    if (!xattrs || xattrs.size > LOOKED_AT_MAX) return xattrs;
    const kept: [string, DictValue][] = [];
    for (const [name, value] of xattrs) {
      if (this.#isRegistered(name) && !(name.startsWith(AFR_PREFIX) && isZero(value))) {
        kept.push([name, value]);
      }
    }
    return kept.length ? Xdata.of(kept) : undefined;
  }

  #isRegistered(name: string): boolean {
    if (this.#names.has(name)) return true;
    for (const pattern of this.#patterns) if (matchesPattern(name, pattern)) return true;
    return false;
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "ipc" && (args as Args<"ipc">).op === IPC_UPCALL) {
      return this.#register((args as Args<"ipc">).xdata) as Promise<Reply<K>>;
    }
    const rule = RULES[fop] as Rule<K> | undefined;
    if (!this.#on || !rule) return this.wind(fop, call, args);
    if (fop === "unlink" || fop === "rmdir" || fop === "rename") {
      return this.#removing(fop, call, args, rule);
    }
    return this.wind(fop, call, args).then((reply) => {
      rule(this, call.client, args, reply);
      return reply;
    });
  }

  #register(xdata: Xdata | undefined): Promise<Empty> {
    for (const name of xdata?.names() ?? []) {
      const wild = /[*?]/.test(name), kept = wild ? this.#patterns : this.#names;
      if (kept.has(name)) continue;
      if (name.length > PATTERN_SIZE_MAX || kept.size >= (wild ? PATTERNS_MAX : NAMES_MAX)) {
        return Promise.reject(ENOSPC);
      }
      kept.add(name);
    }
    return Promise.resolve(DONE);
  }

  // The fop names the file only by its place, and after it nobody knows what was there.
  async #removing<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    rule: Rule<K>,
  ): Promise<Reply<K>> {
    const removed = await this.#fileAt(call, placeOf(args as Args<"unlink"> | Args<"rename">));
    const reply = await this.wind(fop, call, args);
    if (removed) {
      const { postParent, postNewParent } = reply as Partial<Reply<"unlink"> & Reply<"rename">>;
      this.changed(call.client, removed, NAME_FLAGS, { parent: postParent ?? postNewParent });
    }
    rule(this, call.client, args, reply);
    return reply;
  }

  #fileAt(call: Call, place: { parent: Inode; name: string }): Promise<Gfid | undefined> {
    const inside = { ...call, uid: 0, gid: 0, groups: [] };
    return this.child.lookup(inside, place).then(({ stat }) => stat.gfid, (error) => {
      if (error instanceof FopError) return undefined;
      throw error;
    });
  }
}

// The name that the fop takes away: its own, or what a rename replaces.
function placeOf(args: Args<"unlink"> | Args<"rename">): { parent: Inode; name: string } {
  return "newParent" in args
    ? { parent: args.newParent, name: args.newName }
    : { parent: args.parent, name: args.name };
}

function isZero(value: DictValue): boolean {
  return valueBytes(value)?.every((byte) => byte === 0) ?? false;
}

/**
 * True if `name` is of the form that a shell pattern with `*` and `?` describes. Linear in practice
 * and never worse than the product of the lengths, for patterns come from clients.
 */
export function matchesPattern(name: string, pattern: string): boolean {
  let at = 0, p = 0, star = -1, retry = 0;
  while (at < name.length) {
    if (pattern[p] === "*") {
      star = p++;
      retry = at;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[at])) {
      at++;
      p++;
    } else if (star >= 0) {
      p = star + 1;
      at = ++retry;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** `features/upcall`: clients' caches hear of other clients' changes. */
export const upcall = defineXlator({
  type: "features/upcall",
  summary: "Tell clients what other clients changed",
  options,
  subvolumes: "one",
  create: (node, values) => new Upcall(node, values),
});
