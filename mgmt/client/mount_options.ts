/** Options of a mount as mount(8) hands them on: `-o acl,log-level=INFO,…`, as GlusterFS spells them. */

import { PID_NO_ROOT_SQUASH } from "core/call.ts";
import { mountWords } from "core/lib/mount_words.ts";
import { bool } from "core/options.ts";
import { UsageError } from "mgmt/cli/command.ts";
import { TYPES } from "xlators/mod.ts";

/** Options of the layer that mounts. */
const FUSE = TYPES.get("mount/fuse")!.options;

/** What the words say. */
export interface MountWords {
  /** Options of mount/fuse. */
  readonly fuse: ReadonlyMap<string, string>;
  /** Servers to ask when the first does not answer: HOST or HOST:PORT. */
  readonly backups: readonly string[];
  readonly volumeId: string | undefined;
  readonly port: string | undefined;
  readonly logFile: string | undefined;
  readonly logLevel: string | undefined;
  readonly subdirectory: string | undefined;
  /** The volume of the volfile that is mounted; undefined: the last one. */
  readonly topVolume: string | undefined;
  /** How much the kernel likes to end the client when memory is short, -1000 to 1000. */
  readonly oomScoreAdj: string | undefined;
  /** Whether what is there may not be changed. */
  readonly worm: boolean;
  /** Whether files are found by their gfid, too. */
  readonly gfidAccess: boolean;
  /** VOLUME.OPTION=VALUE each. */
  readonly xlatorOptions: readonly string[];
  /** Names of options that are GlusterFS's, and change nothing here. */
  readonly idle: readonly string[];
}

/** GlusterFS's that are about how its client works inside. */
const IDLE = new Set([
  "volfile-max-fetch-attempts",
  "fetch-attempts",
  "capability",
  "socket-file",
  "run-id",
  "log-format",
  "global-timer-wheel",
  "no-mem-accounting",
  "brick-mux",
  "halo-max-latency",
  "halo-max-replicas",
  "halo-min-replicas",
  "auto-unmount",
  "volfile-check",
  "mem-accounting",
  "resolve-gids",
  "thin-client",
  "global-threading",
  "localtime-logging",
  "event-history",
  "reader-thread-count",
  "inode-table-size",
  "invalidate-limit",
  "attr-times-granularity",
  "fuse-flush-handle-interrupt",
  "fuse-setlk-handle-interrupt",
  "fuse-handle-copy-file-range",
  "process-name",
  "io-engine",
  "fuse-dev-eperm-ratelimit-ns",
  "log-buf-size",
  "log-flush-timeout",
]);

/** GlusterFS's that would not be what was asked for if they were left out, unless they say this. */
const REFUSED: ReadonlyMap<string, { readonly unless: RegExp; readonly why: string }> = new Map([
  ["transport", { unless: /^(tcp|socket)$/, why: "only tcp is there" }],
  ["volfile-server-transport", { unless: /^(tcp|socket)$/, why: "only tcp is there" }],
  ["logger", { unless: /^gluster-log$/, why: "logs are files" }],
  ["secure-mgmt", { unless: /^(off|no|false|disable|0)$/, why: "there is no TLS yet" }],
  ["mac-compat", { unless: /^(off|no|false|disable|0)$/, why: "this is no Mac" }],
]);

const onOrOff = bool({ default: true, help: "" });

function isOn(option: string, value: string): boolean {
  try {
    return onOrOff.parse(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`Cannot use mount option "${option}": ${error.message}`);
  }
}

/** Options of mount/fuse that are switches, so that a word alone means on. */
const SWITCHES = new Set(
  Object.entries(FUSE).filter(([, { kind }]) => kind === "bool").map(([name]) => name),
);

/** Reads the values of all `-o`. Throws UsageError. */
export function readMountWords(given: readonly string[]): MountWords {
  const fuse = new Map<string, string>();
  const forMount: string[] = [];
  const backups: string[] = [], xlatorOptions: string[] = [], idle: string[] = [];
  const known: Record<string, string | undefined> = {};
  let worm = false, gfidAccess = false;
  for (const word of given.flatMap(mountWords)) {
    const equals = word.indexOf("=");
    const written = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? undefined : word.slice(equals + 1);
    const name = written.startsWith("_") ? written : written.replaceAll("_", "-");
    const needed = () => {
      if (value !== undefined && value !== "") return value;
      throw new UsageError(`Cannot use mount option "${written}": it needs a value`);
    };
    const refused = REFUSED.get(name);
    if (refused) {
      if (refused.unless.test(value ?? "")) continue;
      throw new UsageError(`Cannot use mount option "${word}": ${refused.why}`);
    }
    if (name === "ro" || name === "read-only") fuse.set("read-only", "on");
    else if (name === "worm") worm = isOn(written, value ?? "on");
    else if (name === "aux-gfid-mount") gfidAccess = isOn(written, value ?? "on");
    else if (name === "no-root-squash" || name === "root-squash") {
      const unsquashed = isOn(written, value ?? "on") === (name === "no-root-squash");
      if (unsquashed) fuse.set("client-pid", String(PID_NO_ROOT_SQUASH));
    } else if (name === "direct-io-mode" && value === "auto") fuse.delete(name);
    else if (name === "backup-volfile-servers" || name === "backupvolfile-server") {
      backups.push(...needed().split(/:(?![^[]*\])/));
    } else if (name === "xlator-option") xlatorOptions.push(needed());
    else if (name === "fuse-mountopts") forMount.push(...needed().split(":"));
    else if (PLACES.has(name)) known[PLACES.get(name)!] = needed();
    else if (name in FUSE && !OURS.has(name)) {
      fuse.set(name, SWITCHES.has(name) ? value ?? "on" : needed());
    } else if (IDLE.has(name)) idle.push(name);
    else forMount.push(word);
  }
  if (forMount.length) fuse.set("fuse-mountopts", forMount.join(","));
  return {
    fuse,
    backups,
    volumeId: known["volume-id"],
    port: known["server-port"],
    logFile: known["log-file"],
    logLevel: known["log-level"],
    subdirectory: known["subdir-mount"],
    topVolume: known["volume-name"],
    oomScoreAdj: known["oom-score-adj"],
    worm,
    gfidAccess,
    xlatorOptions,
    idle,
  };
}

const PLACES = new Map([
  ["volume-name", "volume-name"],
  ["oom-score-adj", "oom-score-adj"],
  ["volume-id", "volume-id"],
  ["volfile-id", "volume-id"],
  ["server-port", "server-port"],
  ["log-file", "log-file"],
  ["log-level", "log-level"],
  ["subdir-mount", "subdir-mount"],
]);
/** Options of mount/fuse that the command sets itself. */
const OURS = new Set(["mountpoint", "volume-name"]);
