/**
 * Named groups of options for one purpose: `volume set V group NAME`. A file of that name below the
 * daemon's home, "KEY=VALUE" a line, goes before what GlusterFS 10 ships, which is here.
 */

import { Refusal } from "mgmt/cli/managed.ts";

/** Lines of groups by name, in the order in which they are set. */
export const GROUPS: ReadonlyMap<string, string> = new Map([
  [
    "virt",
    `performance.quick-read=off
performance.read-ahead=off
performance.io-cache=off
performance.low-prio-threads=32
network.remote-dio=disable
performance.strict-o-direct=on
cluster.eager-lock=enable
cluster.quorum-type=auto
cluster.server-quorum-type=server
cluster.data-self-heal-algorithm=full
cluster.locking-scheme=granular
cluster.shd-max-threads=8
cluster.shd-wait-qlength=10000
features.shard=on
user.cifs=off
cluster.choose-local=off
client.event-threads=4
server.event-threads=4
performance.client-io-threads=on
network.ping-timeout=20
server.tcp-user-timeout=20
server.keepalive-time=10
server.keepalive-interval=2
server.keepalive-count=5
cluster.lookup-optimize=off
`,
  ],
  [
    "distributed-virt",
    `performance.quick-read=off
performance.read-ahead=off
performance.io-cache=off
performance.low-prio-threads=32
network.remote-dio=enable
features.shard=on
user.cifs=off
client.event-threads=4
server.event-threads=4
performance.client-io-threads=on
cluster.lookup-optimize=off
`,
  ],
  [
    "gluster-block",
    `performance.quick-read=off
performance.read-ahead=off
performance.io-cache=off
performance.stat-prefetch=off
performance.open-behind=off
performance.readdir-ahead=off
performance.strict-o-direct=on
performance.client-io-threads=on
performance.io-thread-count=32
performance.high-prio-threads=32
performance.normal-prio-threads=32
performance.low-prio-threads=32
performance.least-prio-threads=4
client.event-threads=8
server.event-threads=8
network.remote-dio=disable
cluster.eager-lock=enable
cluster.quorum-type=auto
cluster.data-self-heal-algorithm=full
cluster.locking-scheme=granular
cluster.shd-max-threads=8
cluster.shd-wait-qlength=10000
features.shard=on
features.shard-block-size=64MB
user.cifs=off
server.allow-insecure=on
cluster.choose-local=off
cluster.lookup-optimize=off
`,
  ],
  [
    "db-workload",
    `performance.open-behind=on
performance.write-behind=off
performance.stat-prefetch=off
performance.quick-read=off
performance.strict-o-direct=on
performance.read-ahead=off
performance.io-cache=off
performance.readdir-ahead=off
performance.client-io-threads=on
server.event-threads=4
client.event-threads=4
performance.read-after-open=yes
`,
  ],
  [
    "metadata-cache",
    `features.cache-invalidation=on
features.cache-invalidation-timeout=600
performance.stat-prefetch=on
performance.cache-invalidation=on
performance.md-cache-timeout=600
network.inode-lru-limit=200000
`,
  ],
  [
    "nl-cache",
    `features.cache-invalidation=on
features.cache-invalidation-timeout=600
performance.nl-cache=on
performance.nl-cache-timeout=600
network.inode-lru-limit=200000
`,
  ],
  [
    "samba",
    `features.cache-invalidation=on
features.cache-invalidation-timeout=600
performance.cache-samba-metadata=on
performance.stat-prefetch=on
performance.cache-invalidation=on
performance.md-cache-timeout=600
network.inode-lru-limit=200000
performance.nl-cache=on
performance.nl-cache-timeout=600
performance.readdir-ahead=on
performance.parallel-readdir=on
performance.write-behind=off
`,
  ],
]);

const SIZE_MAX = 65536;

/** Keys and values of a group, one after the other. Throws Refusal if there is none, or its file is wrong. */
export async function readGroup(home: string, name: string): Promise<readonly string[]> {
  if (!/^[\w][\w.-]{0,254}$/.test(name)) {
    throw new Refusal(`Cannot use group "${name}": its name may have letters, digits, . _ and -`);
  }
  const path = `${home}/groups/${name}`;
  const text = await readText(path) ?? GROUPS.get(name);
  if (text !== undefined) return settingsOf(text, path);
  throw new Refusal(
    `Unable to open file '${path}'. Error: No such file or directory; groups that are always there: ` +
      [...GROUPS.keys()].join(", "),
  );
}

async function readText(path: string): Promise<string | undefined> {
  try {
    using file = await Deno.open(path);
    const bytes = new Uint8Array(SIZE_MAX + 1);
    let size = 0;
    for (let read; size <= SIZE_MAX && (read = await file.read(bytes.subarray(size)));) {
      size += read;
    }
    if (size > SIZE_MAX) throw new Refusal(`'${path}' is longer than ${SIZE_MAX} bytes`);
    return new TextDecoder().decode(bytes.subarray(0, size));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Refusal) throw error;
    throw new Refusal(`Unable to open file '${path}'. Error: ${(error as Error).message}`);
  }
}

function settingsOf(text: string, path: string): readonly string[] {
  const settings: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#") || line.trim() === "") continue;
    const equals = line.indexOf("=");
    const key = line.slice(0, equals).trim(), value = line.slice(equals + 1).trim();
    if (equals < 1 || key === "" || value === "") {
      throw new Refusal(`'${path}' file format not valid: "${line}" is not KEY=VALUE`);
    }
    settings.push(key, value);
  }
  if (!settings.length) throw new Refusal(`'${path}' file format not valid: it sets nothing`);
  return settings;
}
