/**
 * Volfiles for tests and benchmarks: the graphs that glusterd 10.3 writes for a volume without
 * options, less the layers that do nothing then (trash, changelog, bitrot-stub, leases, selinux,
 * marker, quota). The same server graph goes to either kind of brick.
 */

import { printVolfile, type VolumeBlock } from "core/volfile.ts";

/** How a volume spreads its files over bricks. */
export type Layout = "one" | "distributed" | "replica";

/** What a brick's volfile is made of. */
export interface BrickFacts {
  /** Directory, and the name clients ask for. */
  readonly path: string;
  readonly port: number;
  readonly volume: string;
  readonly volumeId: string;
  /** Address patterns; all may come in if absent. */
  readonly allow?: string;
  readonly reject?: string;
  /** With these, only who knows them may come in by login. */
  readonly login?: { readonly user: string; readonly password: string };
}

/** What a client's volfile is made of. */
export interface ClientFacts {
  readonly volume: string;
  readonly volumeId: string;
  readonly layout: Layout;
  readonly host: string;
  readonly bricks: readonly { readonly path: string; readonly port: number }[];
  /** The layers above distribute that glusterd puts there by itself; true if absent. */
  readonly performance?: boolean;
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
    layer("access-control", "features/access-control"),
    layer("locks", "features/locks", { "enforce-mandatory-lock": "off" }),
    layer("worm", "features/worm", {
      "worm-files-deletable": "on",
      "worm-file-level": "off",
      worm: "off",
    }),
    layer("read-only", "features/read-only", { "read-only": "off" }),
    layer("upcall", "features/upcall", { "cache-invalidation": "off" }),
    layer("io-threads", "performance/io-threads"),
    layer("barrier", "features/barrier", { "barrier-timeout": "120", barrier: "disable" }),
    layer("index", "features/index", {
      "xattrop-pending-watchlist": `trusted.afr.${volume}-`,
      "xattrop-dirty-watchlist": "trusted.afr.dirty",
      "index-base": `${path}/.glusterfs/indices`,
    }),
    block(path, "debug/io-stats", {
      "count-fop-hits": "off",
      "latency-measurement": "off",
      "log-level": "INFO",
      "unique-id": path,
    }),
    layer("server", "protocol/server", {
      "transport.listen-backlog": "1024",
      "transport.socket.keepalive": "1",
      "transport.socket.listen-port": String(port),
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
  return bricks.map(({ path, port }, index) =>
    block(`${volume}-client-${index}`, "protocol/client", {
      "send-gids": daemon ? undefined : "true",
      "transport.address-family": "inet",
      "transport-type": "tcp",
      "transport.socket.source-addr": facts.sourceAddress,
      username: login?.user,
      password: login?.password,
      "remote-subvolume": path,
      "remote-port": String(port),
      "remote-host": host,
      "ping-timeout": String(facts.pingTimeout ?? 42),
    })
  );
}

function replicateBlock(facts: ClientFacts, options: Options): VolumeBlock {
  const clients = facts.bricks.map((_, index) => `${facts.volume}-client-${index}`);
  return block(
    `${facts.volume}-replicate-0`,
    "cluster/replicate",
    {
      ...options,
      "use-anonymous-inode": "yes",
      "use-compound-fops": "off",
      "granular-entry-heal": "on",
      "volume-id": facts.volumeId,
      "afr-pending-xattr": clients.join(","),
    },
    ...clients,
  );
}

/** A client's graph, as mounts and libgfapi load it. */
export function clientVolfile(facts: ClientFacts): string {
  const { volume, layout, bricks } = facts;
  const clients = clientBlocks(facts, false);
  const spread = layout === "replica"
    ? [replicateBlock(facts, {}), block(`${volume}-dht`, "cluster/distribute", {})]
    : [
      block(
        `${volume}-dht`,
        "cluster/distribute",
        {},
        ...bricks.map((_, index) => `${volume}-client-${index}`),
      ),
    ];
  const performance = facts.performance === false ? [] : [
    block(`${volume}-utime`, "features/utime", { noatime: "on" }),
    block(`${volume}-write-behind`, "performance/write-behind", {}),
    block(`${volume}-open-behind`, "performance/open-behind", {}),
    block(`${volume}-quick-read`, "performance/quick-read", {}),
    block(`${volume}-md-cache`, "performance/md-cache", {}),
  ];
  const top = block(volume, "debug/io-stats", { "log-level": "INFO" });
  return printVolfile([...clients, ...stack([...spread, ...performance, top])]);
}

/** The self-heal daemon's graph. */
export function healVolfile(facts: ClientFacts): string {
  const { volume } = facts;
  const replicate = replicateBlock(facts, {
    "iam-self-heal-daemon": "yes",
    "self-heal-daemon": "enable",
    "heal-timeout": "5",
    "entry-self-heal": "on",
    "data-self-heal": "on",
    "metadata-self-heal": "on",
    "background-self-heal-count": "0",
  });
  return printVolfile([
    ...clientBlocks(facts, true),
    ...stack([replicate, block(volume, "debug/io-stats", { "log-level": "INFO" })]),
  ]);
}
