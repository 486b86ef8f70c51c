/** What a value must fit besides its kind: the volume, and the other options. GlusterFS's own words. */

import { size } from "core/options.ts";
import { distributeCount, type VolumeRecord } from "mgmt/records.ts";
import { isHostPattern } from "mgmt/volume_options/addresses.ts";

/** What a rule looks at. */
interface At {
  readonly key: string;
  readonly value: string;
  /** Undefined: all of them. */
  readonly volume: VolumeRecord | undefined;
  /** Options as they would be. */
  readonly after: Readonly<Record<string, string>>;
}

/** Why it cannot be; undefined: it can. */
type Rule = (at: At) => string | undefined;

/** `early`: before the value's kind is looked at. */
interface Rules {
  readonly early?: Rule;
  readonly late?: Rule;
}

const OP_VERSION = 100000;
const bytes = size({ default: 0, help: "" });

function replicatedOnly({ key, volume }: At): string | undefined {
  return volume?.kind === "replicate" ? undefined : `Cannot set ${key} for a non-replicate volume.`;
}

function dispersedOnly({ key, volume }: At): string | undefined {
  return volume?.kind === "disperse" ? undefined : `Cannot set ${key} for a non-disperse volume.`;
}

function ofKind(kind: VolumeRecord["kind"]): Rule {
  return ({ volume }) =>
    volume?.kind === kind ? undefined : `Volume ${volume?.name} is not of ${kind} type`;
}

function wholeNumber(value: string, key: string): number | string {
  return /^-?\d{1,9}$/.test(value)
    ? Number(value)
    : `${value} is not an integer. ${key} expects a valid integer value.`;
}

function quorumCount({ key, value, volume }: At): string | undefined {
  const count = wholeNumber(value, key), max = volume?.replicaCount ?? 1;
  if (typeof count === "string") return count;
  return count < 1 || count > max
    ? `${count} in ${key} ${count} is out of range [1 - ${max}]`
    : undefined;
}

function disperseQuorumCount(at: At): string | undefined {
  const { key, value, volume } = at, count = wholeNumber(value, key);
  if (typeof count === "string") return count;
  if (volume?.kind !== "disperse") return dispersedOnly(at);
  const min = volume.disperseCount - volume.redundancyCount, max = volume.disperseCount;
  return count < min || count > max
    ? `${count} for ${key} is out of range [${min} - ${max}]`
    : undefined;
}

function subvolumes({ value, volume }: At): string | undefined {
  const most = volume ? distributeCount(volume) : 1;
  return Number(value) > most
    ? `subvols-per-directory(${value}) is greater than the number of subvolumes(${most}).`
    : undefined;
}

function cachedSizes({ after }: At): string | undefined {
  const min = after["performance.cache-min-file-size"];
  const max = after["performance.cache-max-file-size"];
  if (min === undefined || max === undefined || bytes.parse(max) === 0) return undefined;
  return bytes.parse(min) > bytes.parse(max)
    ? `cache-min-file-size (${min}) is greater than cache-max-file-size (${max})`
    : undefined;
}

function notOnceStarted({ key, volume }: At): string | undefined {
  return !volume || volume.state === "created" ? undefined : (
    ` 'gluster volume set <VOLNAME> ${key} {enable, disable}' is not supported. ` +
    "Use 'gluster volume heal <VOLNAME> granular-entry-heal {enable, disable}' instead."
  );
}

function notWhileStarted({ key, volume }: At): string | undefined {
  return volume?.state !== "started" ? undefined : (
    `Changing '${key}' is not supported when the volume is in started state. Please stop the volume first.`
  );
}

function clientOf({ value, volume }: At): string | undefined {
  if (volume?.kind !== "replicate") return undefined;
  return volume.bricks.some(({ clientName }) => clientName === value)
    ? undefined
    : `option read-subvolume ${value}: '${value}' is not a valid volume name, such as ${
      volume.bricks[0]?.clientName
    }`;
}

function hosts({ key, value }: At): string | undefined {
  return value.split(",").every(isHostPattern)
    ? undefined
    : `option ${key} ${value}: '${value}' is not a valid internet-address-list`;
}

function opVersion({ key, value }: At): string | undefined {
  if (!/^\d{1,9}$/.test(value)) return `invalid number format "${value}" in option "${key}"`;
  return Number(value) > OP_VERSION
    ? `Required op_version (${value}) is not supported. Max supported op version is ${OP_VERSION}`
    : `Required op-version (${value}) should not be equal or lower than current cluster op-version (${OP_VERSION}).`;
}

function lockMigration({ volume }: At): string | undefined {
  return !volume || volume.kind === "distribute" ? undefined : (
    "Lock migration is a experimental feature. Currently works with pure distribute volume only"
  );
}

/** By the names of options. */
export const RULES: ReadonlyMap<string, Rules> = new Map<string, Rules>([
  ["auth.allow", { late: hosts }],
  ["auth.reject", { late: hosts }],
  ["cluster.data-self-heal", { early: replicatedOnly }],
  ["cluster.disperse-self-heal-daemon", { early: ofKind("disperse") }],
  ["cluster.entry-self-heal", { early: replicatedOnly }],
  ["cluster.granular-entry-heal", { early: notOnceStarted }],
  ["cluster.lock-migration", { early: lockMigration }],
  ["cluster.metadata-self-heal", { early: replicatedOnly }],
  ["cluster.op-version", { early: opVersion }],
  ["cluster.quorum-count", { early: quorumCount }],
  ["cluster.read-subvolume", { late: clientOf }],
  ["cluster.self-heal-daemon", { early: ofKind("replicate") }],
  ["cluster.shd-max-threads", { early: replicatedOnly }],
  ["cluster.subvols-per-directory", { late: subvolumes }],
  ["disperse.quorum-count", { early: disperseQuorumCount }],
  ["disperse.shd-max-threads", { early: dispersedOnly }],
  ["performance.cache-max-file-size", { late: cachedSizes }],
  ["performance.cache-min-file-size", { late: cachedSizes }],
  ["storage.linux-aio", { late: notWhileStarted }],
  ["storage.linux-io_uring", { late: notWhileStarted }],
]);
