/**
 * Captures the volfiles that GlusterFS's glusterd writes for volumes of every shape, with several
 * sets of options each, into tests/interop/volfiles_golden.json.
 *
 *     unshare --mount --net deno run -A scripts/capture_volfiles.ts [FILE]
 *
 * Needs root and Debian's glusterfs-server. It refuses to run in the machine's own network
 * namespace: glusterd runs on an address that only the new one has, its places are empty file systems of the
 * new mount namespace, and both end with this script.
 */

import type { GoldenCase, GoldenVolume } from "tests/interop/golden_volumes.ts";

const HOST = "10.66.0.1";
const PLACES = ["/run", "/var/lib/glusterd", "/var/log/glusterfs"];
const VOLUMES = "/var/lib/glusterd/vols";

const SHAPES: readonly (readonly [name: string, bricks: number, ...words: string[]])[] = [
  ["one", 1],
  ["dist", 2],
  ["rep2", 2, "replica", "2"],
  ["rep3", 3, "replica", "3"],
  ["arb", 3, "replica", "2", "arbiter", "1"],
  ["ec3", 3, "disperse", "3", "redundancy", "1"],
  ["ec6", 6, "disperse", "6", "redundancy", "2"],
  ["distrep", 4, "replica", "2"],
  ["distarb", 6, "replica", "2", "arbiter", "1"],
  ["distec", 6, "disperse", "3", "redundancy", "1"],
];

const SETS: readonly string[] = [
  "",
  "performance.read-ahead on performance.readdir-ahead on performance.io-cache on " +
  "performance.nl-cache on performance.client-io-threads on performance.cache-invalidation on " +
  "features.cache-invalidation on features.cache-invalidation-timeout 600 " +
  "performance.md-cache-timeout 600 performance.cache-size 64MB performance.nl-cache-timeout 600 " +
  "performance.io-thread-count 8 network.inode-lru-limit 50000",
  "performance.write-behind off performance.open-behind off performance.quick-read off " +
  "performance.stat-prefetch off performance.client-io-threads off features.ctime off",
  "features.shard on features.shard-block-size 16MB network.ping-timeout 10 " +
  "network.remote-dio enable performance.strict-o-direct on cluster.eager-lock off " +
  "disperse.eager-lock off client.tcp-user-timeout 30 server.tcp-user-timeout 42 " +
  "client.strict-locks on network.frame-timeout 600",
  "performance.readdir-ahead on performance.parallel-readdir on performance.rda-cache-limit 20MB",
  "performance.readdir-ahead on performance.parallel-readdir on performance.rda-cache-limit 100KB",
  "auth.allow 10.*,192.168.1.5 auth.reject 10.9.* features.read-only on server.root-squash on " +
  "server.allow-insecure off client.event-threads 4 server.event-threads 3 " +
  "diagnostics.client-log-level DEBUG diagnostics.brick-log-level WARNING " +
  "server.manage-gids on diagnostics.latency-measurement on diagnostics.count-fop-hits on",
  "features.worm on features.worm-file-level on features.default-retention-period 100 " +
  "features.locks-revocation-secs 30 locks.mandatory-locking forced storage.owner-uid 36 " +
  "storage.health-check-interval 10 storage.reserve 2 features.barrier-timeout 60 " +
  "diagnostics.client-log-format no-msg-id config.client-threads 8",
  "cluster.quorum-type fixed cluster.quorum-count 1 cluster.choose-local off " +
  "cluster.read-hash-mode 2 cluster.heal-timeout 300 cluster.favorite-child-policy mtime " +
  "cluster.data-self-heal-algorithm full cluster.locking-scheme granular " +
  "cluster.metadata-self-heal on cluster.shd-max-threads 4 cluster.lookup-optimize off " +
  "cluster.min-free-disk 5% disperse.read-policy gfid-hash disperse.shd-max-threads 2 " +
  "dht.force-readdirp on",
  "debug.trace client debug.log-history on cluster.self-heal-daemon off",
];

async function run(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = new TextDecoder();
  if (code === 0) return text.decode(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${text.decode(stderr)}${text.decode(stdout)}`);
}

function gluster(words: string): Promise<string> {
  return run("gluster", "--mode=script", ...words.split(" "));
}

async function isolate(): Promise<void> {
  if (
    Deno.networkInterfaces().some(({ address }) => address !== "127.0.0.1" && address !== "::1")
  ) {
    throw new Error("Run it in a network namespace of its own; see the head of this file");
  }
  await run("ip", "link", "set", "lo", "up");
  await run("ip", "address", "add", `${HOST}/24`, "dev", "lo");
  for (const place of PLACES) {
    await Deno.mkdir(place, { recursive: true });
    await run("mount", "-t", "tmpfs", "tmpfs", place);
  }
}

async function started(): Promise<Deno.ChildProcess> {
  const glusterd = new Deno.Command("glusterd", { args: ["-N"] }).spawn();
  for (let tries = 0;; tries++) {
    try {
      await gluster("pool list");
      return glusterd;
    } catch (error) {
      if (tries === 20) throw error;
    }
  }
}

function record(text: string): Map<string, string> {
  return new Map(
    text.split("\n").filter((line) => line.includes("=")).map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

/** Keys of a volume's record that are no options. */
const FACTS = new Set(
  ("type count status sub_count replica_count arbiter_count thin_arbiter_count disperse_count " +
    "redundancy_count version transport-type volume-id username password op-version " +
    "client-op-version quota-version tier-enabled parent_volname restored_from_snap " +
    "snap-max-hard-limit stripe_count caps global-option-version").split(" "),
);

/** Sets what such a volume can have of `words`, and answers that. */
async function setAll(volume: string, words: string): Promise<readonly string[]> {
  const pairs = words.match(/\S+ \S+/g) ?? [];
  while (pairs.length) {
    try {
      await gluster(`volume set ${volume} ${pairs.join(" ")}`);
      break;
    } catch (error) {
      const key = /is not of replicate type/.test(String(error))
        ? "cluster.self-heal-daemon"
        : /Cannot set (\S+) for a non-/.exec(String(error))?.[1];
      const at = pairs.findIndex((pair) => pair.startsWith(`${key} `));
      if (at < 0) throw error;
      pairs.splice(at, 1);
    }
  }
  return pairs;
}

async function capture(
  [name, count, ...words]: (typeof SHAPES)[number],
): Promise<GoldenVolume> {
  const bricks = Array.from({ length: count }, (_, index) => `${HOST}:/run/b/${name}-${index}`);
  await gluster(["volume create", name, ...words, ...bricks, "force"].join(" "));
  await gluster(`volume start ${name}`);
  const dir = `${VOLUMES}/${name}`, blocks: string[] = [], cases: GoldenCase[] = [];
  for (const set of SETS) {
    const given = await setAll(name, set);
    const files: Record<string, number[]> = {};
    for (const { name: file } of Deno.readDirSync(dir)) {
      if (!file.endsWith(".vol") || file.includes("gfproxy")) continue;
      // One brick tells it all: the last.
      if (
        file.startsWith(`${name}.`) && file.includes(HOST) && !file.includes(`-${count - 1}.vol`)
      ) {
        continue;
      }
      const text = await Deno.readTextFile(`${dir}/${file}`);
      files[file] = text.split(/(?<=^end-volume\n)\n/m).map((block) => {
        const at = blocks.indexOf(block);
        return at < 0 ? blocks.push(block) - 1 : at;
      });
    }
    const info = record(await Deno.readTextFile(`${dir}/info`));
    const options = [...info].filter(([key]) => !FACTS.has(key) && !/^brick-\d+$/.test(key));
    cases.push({
      set: given.join(" "),
      options: Object.fromEntries(options),
      files: sorted(files),
    });
    for (const pair of given) await gluster(`volume reset ${name} ${pair.split(" ")[0]} force`);
  }
  const info = record(await Deno.readTextFile(`${dir}/info`));
  await gluster(`volume stop ${name} force`);
  await gluster(`volume delete ${name}`);
  return {
    shape: words.join(" "),
    name,
    id: info.get("volume-id")!,
    username: info.get("username")!,
    password: info.get("password")!,
    bricks,
    cases,
    blocks,
  };
}

function sorted<T>(files: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => a < b ? -1 : 1));
}

await isolate();
await Deno.mkdir("/run/b");
const glusterd = await started();
const volumes: GoldenVolume[] = [];
try {
  for (const shape of SHAPES) volumes.push(await capture(shape));
} finally {
  glusterd.kill("SIGTERM");
  await glusterd.status;
}
const file = Deno.args[0] ??
  new URL("../tests/interop/volfiles_golden.json", import.meta.url).pathname;
await Deno.writeTextFile(file, JSON.stringify(volumes, undefined, 1) + "\n");
