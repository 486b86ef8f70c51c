/**
 * Volfiles for tests and benchmarks: the graphs that glusterd 10.3 writes for a volume without
 * options, less the layers that do nothing then (trash, changelog, bitrot-stub, leases, selinux,
 * marker, quota). The same server graph goes to either kind of brick.
 */

import { printVolfile, type VolumeBlock } from "core/volfile.ts";

/** How a volume spreads its files over bricks. */
export type Layout = keyof typeof BRICKS;

/** How many bricks a volume of each layout has; those of `disperse` lose one, of `disperse6` two. */
export const BRICKS = {
  one: 1,
  distributed: 2,
  replica: 2,
  replica3: 3,
  arbiter: 3,
  disperse: 3,
  disperse6: 6,
} as const;

/** What a brick's volfile is made of. */
export interface BrickFacts {
  /** Directory, and the name clients ask for. */
  readonly path: string;
  readonly port: number;
  /** Where it listens and clients look for it, if not where they look for the others. */
  readonly host?: string;
  readonly volume: string;
  readonly volumeId: string;
  /** Address patterns; all may come in if absent. */
  readonly allow?: string;
  readonly reject?: string;
  /** It keeps no data, only names: the last brick of the layout `arbiter`. */
  readonly arbiter?: boolean;
  /** Clients that cached a file are told when another one changes it. */
  readonly invalidation?: boolean;
  /** It keeps a history, with this durability: a layer that only our bricks have. */
  readonly snapshots?: "strict" | "relaxed";
  /** It remembers what copies miss: a layer that only our bricks have. */
  readonly changedRanges?: boolean;
  /** It counts what it is asked for. */
  readonly counts?: boolean;
  /** With these, only who knows them may come in by login. */
  readonly login?: { readonly user: string; readonly password: string };
}

/** What a client's volfile is made of. */
export interface ClientFacts {
  readonly volume: string;
  readonly volumeId: string;
  readonly layout: Layout;
  readonly host: string;
  readonly bricks: readonly Pick<BrickFacts, "path" | "port" | "host">[];
  /** The layers above distribute that glusterd puts there by itself, or our daemon; true if absent. */
  readonly performance?: boolean | "all" | "ours";
  /** Files are cut into pieces of that size, such as `4MB`. */
  readonly shard?: string;
  readonly login?: { readonly user: string; readonly password: string };
  /** Address that the client's connections come from. */
  readonly sourceAddress?: string;
  /** Seconds a silent brick is waited for; 42 if absent. */
  readonly pingTimeout?: number;
}

type Options = Readonly<Record<string, string | undefined>>;

function block(
  name: string,
  type: string,
  options: Options,
  ...subvolumes: string[]
): VolumeBlock {
  const present = Object.entries(options).filter((each): each is [string, string] =>
    each[1] !== undefined
  );
  return { name, type, options: new Map(present), subvolumes, line: 0 };
}

// Each layer above the one before it; a layer that names its subvolumes itself begins a new stack.
function stack(blocks: readonly VolumeBlock[]): VolumeBlock[] {
  return blocks.map((each, index) =>
    index === 0 || each.subvolumes.length > 0
      ? each
      : { ...each, subvolumes: [blocks[index - 1]!.name] }
  );
}

/** A brick's graph, from storage/posix up to protocol/server. */
export function brickVolfile(facts: BrickFacts): string {
  const { path, port, volume, volumeId, login } = facts;
  const layer = (name: string, type: string, options: Options = {}) =>
    block(`${volume}-${name}`, type, options);
  return printVolfile(stack([
    layer("posix", "storage/posix", {
      "shared-brick-count": "1",
      "fips-mode-rchecksum": "on",
      "volume-id": volumeId,
      directory: path,
    }),
    ...(facts.snapshots
      ? [layer("snapshot", "features/snapshot", {
        directory: path,
        "snapshot-durability": facts.snapshots,
      })]
      : []),
    ...(facts.arbiter ? [layer("arbiter", "features/arbiter")] : []),
    layer("access-control", "features/access-control"),
    layer("locks", "features/locks", { "enforce-mandatory-lock": "off" }),
    layer("worm", "features/worm", {
      "worm-files-deletable": "on",
      "worm-file-level": "off",
      worm: "off",
    }),
    layer("read-only", "features/read-only", { "read-only": "off" }),
    layer("upcall", "features/upcall", {
      "cache-invalidation": facts.invalidation ? "on" : "off",
    }),
    layer("io-threads", "performance/io-threads"),
    layer("barrier", "features/barrier", { "barrier-timeout": "120", barrier: "disable" }),
    ...(facts.changedRanges
      ? [layer("changed-ranges", "features/changed-ranges", {
        "index-base": `${path}/.glusterfs/indices`,
      })]
      : []),
    layer("index", "features/index", {
      "xattrop-pending-watchlist": `trusted.afr.${volume}-`,
      "xattrop-dirty-watchlist": "trusted.afr.dirty",
      "xattrop64-watchlist": "trusted.ec.dirty",
      "index-base": `${path}/.glusterfs/indices`,
    }),
    block(path, "debug/io-stats", {
      "count-fop-hits": facts.counts ? "on" : "off",
      "latency-measurement": "off",
      "log-level": "INFO",
      "unique-id": path,
    }),
    layer("server", "protocol/server", {
      "transport.listen-backlog": "1024",
      "transport.socket.keepalive": "1",
      "transport.socket.listen-port": String(port),
      "transport.socket.bind-address": facts.host,
      "transport.address-family": "inet",
      "transport-type": "tcp",
      "auth-path": path,
      [`auth.addr.${path}.allow`]: facts.allow ?? (login ? undefined : "*"),
      [`auth.addr.${path}.reject`]: facts.reject,
      // Without it GlusterFS lets in by address who fails by login.
      "strict-auth-accept": login ? "true" : undefined,
      [`auth.login.${path}.allow`]: login?.user,
      [`auth.login.${login?.user}.password`]: login?.password,
    }),
  ]));
}

function clientBlocks(facts: ClientFacts, daemon: boolean): VolumeBlock[] {
  const { volume, bricks, host, login } = facts;
  return bricks.map(({ path, port, host: own }, index) =>
    block(`${volume}-client-${index}`, "protocol/client", {
      "send-gids": daemon ? undefined : "true",
      "transport.address-family": "inet",
      "transport-type": "tcp",
      "transport.socket.source-addr": facts.sourceAddress,
      username: login?.user,
      password: login?.password,
      "remote-subvolume": path,
      "remote-port": String(port),
      "remote-host": own ?? host,
      "ping-timeout": String(facts.pingTimeout ?? 42),
    })
  );
}

/** The layer that keeps files on several bricks at once, if the layout has one. */
function copiesBlock(facts: ClientFacts, options: Options): VolumeBlock | undefined {
  const { layout, volume } = facts;
  if (layout === "one" || layout === "distributed") return undefined;
  const clients = facts.bricks.map((_, index) => `${volume}-client-${index}`);
  if (layout === "disperse" || layout === "disperse6") {
    const redundancy = { redundancy: layout === "disperse" ? "1" : "2" };
    return block(`${volume}-disperse-0`, "cluster/disperse", {
      ...options,
      ...redundancy,
    }, ...clients);
  }
  return block(
    `${volume}-replicate-0`,
    "cluster/replicate",
    {
      ...options,
      "arbiter-count": layout === "arbiter" ? "1" : undefined,
      "use-anonymous-inode": "yes",
      "use-compound-fops": "off",
      "granular-entry-heal": "on",
      "volume-id": facts.volumeId,
      "afr-pending-xattr": clients.join(","),
    },
    ...clients,
  );
}

// glusterd's order. What is not on by itself comes with the options that its profile for caching
// metadata sets: without word from the bricks clients would not look again for ten minutes.
function performanceBlocks({ volume, performance, shard }: ClientFacts): VolumeBlock[] {
  const layer = (type: string, options: Options = {}) =>
    block(`${volume}-${type.slice(type.indexOf("/") + 1)}`, type, options);
  const pieces = shard === undefined
    ? []
    : [layer("features/shard", { "shard-block-size": shard })];
  if (performance === false) return pieces;
  const all = performance === "all", ours = performance === "ours";
  const told = all ? { "cache-invalidation": "true" } : {};
  return [
    ...pieces,
    layer("features/utime", { noatime: "on" }),
    layer("performance/write-behind"),
    ...(all
      ? [
        layer("performance/read-ahead"),
        layer("performance/readdir-ahead"),
        layer("performance/io-cache"),
      ]
      : []),
    layer(ours ? "performance/readdir-ahead" : "performance/open-behind"),
    layer("performance/quick-read", told),
    layer("performance/md-cache", { ...told, ...(all ? { "md-cache-timeout": "600" } : {}) }),
    ...(all ? [layer("performance/nl-cache")] : []),
  ];
}

/** A client's graph, as mounts and libgfapi load it. */
export function clientVolfile(facts: ClientFacts): string {
  const { volume, bricks } = facts;
  const clients = clientBlocks(facts, false);
  const copies = copiesBlock(facts, {});
  const below = copies ? [copies] : clients;
  const names = copies ? [copies.name] : bricks.map((_, index) => `${volume}-client-${index}`);
  const spread = block(`${volume}-dht`, "cluster/distribute", {}, ...names);
  const top = block(volume, "debug/io-stats", { "log-level": "INFO" });
  return printVolfile([
    ...(copies ? clients : []),
    ...below,
    ...stack([spread, ...performanceBlocks(facts), top]),
  ]);
}

/** The self-heal daemon's graph. */
export function healVolfile(facts: ClientFacts): string {
  const { volume } = facts;
  const dispersed = facts.layout.startsWith("disperse");
  const copies = copiesBlock(facts, {
    "iam-self-heal-daemon": "yes",
    "self-heal-daemon": "enable",
    // The least that each of them takes.
    "heal-timeout": dispersed ? "60" : "5",
    ...(dispersed ? {} : {
      "entry-self-heal": "on",
      "data-self-heal": "on",
      "metadata-self-heal": "on",
      "background-self-heal-count": "0",
    }),
  });
  if (!copies) {
    throw new Error(`Cannot heal a volume of layout "${facts.layout}": it has no copies`);
  }
  return printVolfile([
    ...clientBlocks(facts, true),
    ...stack([copies, block(volume, "debug/io-stats", { "log-level": "INFO" })]),
  ]);
}
