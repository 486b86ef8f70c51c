/** `mortar client`: mounts a volume on a directory. */

import { fopError } from "core/errno.ts";
import type { XlatorTypes } from "core/registry.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { parseOverride } from "mgmt/brick/volfile.ts";
import {
  type Command,
  command,
  CommandError,
  type OptionValues,
  UsageError,
} from "mgmt/cli/command.ts";
import { procLines } from "mgmt/bricks/proc.ts";
import { detachedMount, NOTE } from "mgmt/client/detached.ts";
import { type MountWords, readMountWords } from "mgmt/client/mount_options.ts";
import { isVolumeOn } from "mgmt/client/mounted.ts";
import { ClientProcess } from "mgmt/client/process.ts";
import { fileSource, servedSource } from "mgmt/client/source.ts";
import { Daemon, DAEMON_OPTIONS, type DaemonLook } from "mgmt/daemon.ts";
import { parsePort } from "mgmt/endpoints.ts";
import { type Address, readAddress } from "mgmt/file/address.ts";
import { dashed, defaultHome, placesUnder } from "mgmt/home.ts";
import { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import type { Endpoint } from "rpc/transport.ts";

const options = {
  options: {
    short: "o",
    value: "OPTION[=VALUE],…",
    many: true,
    help:
      "Mount options, as GlusterFS's: ro, acl, direct-io-mode=…, entry-timeout=…, attribute-timeout=…, " +
      "negative-timeout=…, backup-volfile-servers=HOST:…, log-file=…, log-level=…, xlator-option=…, " +
      "worm, aux-gfid-mount, enable-ino32, dump-fuse=FILE; docs/manual/mounts.md has them all.",
  },
  volfile: {
    short: "f",
    value: "VOLFILE",
    help: "Mount what that file describes, without a server; SIGHUP reads it again.",
  },
  "xlator-option": {
    value: "VOLUME.OPTION=VALUE",
    many: true,
    help: "Set an option of a volume; * and ? in VOLUME stand for any characters and any one.",
  },
  foreground: { help: "Stay in front instead of answering when the volume is mounted." },
  ...DAEMON_OPTIONS,
} as const;

/** Values of the command's options. */
export type ClientValues = OptionValues<typeof options>;

const FOREGROUND = "--foreground";

/** The command, for volfiles that name `types`. */
export function client(types: XlatorTypes): Command {
  return command({
    name: "client",
    summary: "Mount a volume on a directory",
    description: [
      "Shows a volume, or a directory of it (HOST:/VOLUME/DIR), on a directory of this machine. The " +
      "command answers when that is done, or says why not; a process of its own goes on. It follows " +
      'changes of the volume, and serves on while the management daemon is away. "umount" or SIGTERM ' +
      "ends it, SIGUSR2 or SIGUSR1 writes a statedump; MOUNTPOINT/.meta shows what it is like inside. " +
      "Users other than root need fusermount3.",
    ],
    options,
    operands: { label: "[HOST[:PORT]:/VOLUME] MOUNTPOINT", min: 1, max: 2 },
    examples: [
      { what: "Mount volume v1", line: "mortar client server:/v1 /mnt" },
      {
        what: "With access control lists, and a second server to ask",
        line: "mortar client -o acl,backup-volfile-servers=other server:/v1 /mnt",
      },
      { what: "A hand-written graph", line: "mortar client --volfile graph.vol /mnt" },
    ],
    run: (values, operands) => runClient(types, values, operands),
  });
}

/** What a client is that runs by another name. */
export interface OtherName {
  readonly look: DaemonLook;
  /** What lists of mounts show behind "fuse.". */
  readonly subtype: string;
  /** The words of `mortar client`, if this process was not given them itself. */
  readonly argv: readonly string[];
}

class AlreadyMounted extends CommandError {
  /** As mount(8)'s for a mount that failed. */
  override readonly exitCode = 32;
}

/** Mounts; answers the exit code. Throws CommandError. */
export async function runClient(
  types: XlatorTypes,
  values: ClientValues,
  operands: readonly string[],
  { look, subtype, argv: given = Deno.args }: Partial<OtherName> = {},
): Promise<number> {
  const words = readMountWords(values.options);
  const { oomScoreAdj } = words;
  if (oomScoreAdj !== undefined) setOomScoreAdj(oomScoreAdj);
  const { volume, directory } = places(values, operands);
  const mountpoint = await realDirectory(directory);
  const logFile = values["log-file"] ?? words.logFile;
  // A "glusterfs" that is called by hand mounts over what is there, as it always did.
  const isThere = !look && isVolumeOn(procLines("/proc/self/mountinfo"), mountpoint);
  // What a client left that is gone is said by who mounts.
  if (isThere && await Deno.stat(mountpoint).then(() => true, () => false)) {
    throw new AlreadyMounted(
      `Cannot mount on "${mountpoint}": a volume is mounted there already; take it off first with ` +
        `"umount ${mountpoint}"`,
    );
  }
  if (!values.foreground) {
    const log = logFile ?? await defaultLog(mountpoint);
    const argv = logFile === undefined ? [`--log-file=${log}`] : [];
    return await detachedMount("mortar", [...given, FOREGROUND, ...argv], log);
  }
  const logLevel = values["log-level"] ?? words.logLevel?.toLowerCase();
  const daemon = new Daemon(look ?? { comm: "mortar-client" }, {
    ...values,
    "log-file": logFile,
    "log-level": logLevel,
  });
  try {
    for (const option of words.idle) {
      daemon.env.log.info("mount option has no effect here", { option });
    }
    const port = words.port === undefined ? volume?.port : parsePort(words.port, "server-port");
    const link = volume && new ManagementLink(daemon.env, ...servers(volume, port!, words));
    const id = words.volumeId ?? volume?.volume;
    const process = new ClientProcess(daemon, types, {
      source: link ? servedSource(link, id!, daemon.env) : fileSource(values.volfile!),
      link,
      subdirectory: words.subdirectory ?? subdirectoryOf(volume),
      mountpoint,
      // As it was asked for: "mount -a" looks whether that is there already.
      shownSource: volume ? `${volume.text}${words.subdirectory ?? ""}` : values.volfile!,
      fuse: subtype === undefined ? words.fuse : new Map([...words.fuse, ["subtype", subtype]]),
      topVolume: words.topVolume,
      worm: words.worm,
      gfidAccess: words.gfidAccess,
      overrides: [...words.xlatorOptions, ...values["xlator-option"]].map(parseOverride),
      statedumps: values["statedump-dir"],
      commandLine: look?.commandLine ?? ["mortar", ...Deno.args],
      logFile,
      mounted: (notes) => tellMounted(mountpoint, notes),
    });
    return await process.run();
  } finally {
    daemon.close();
  }
}

function places(
  { volfile }: ClientValues,
  operands: readonly string[],
): { volume: Address | undefined; directory: string } {
  const directory = operands.at(-1)!;
  if ((volfile === undefined) !== (operands.length === 2)) {
    throw new UsageError(
      'Cannot run "mortar client": give HOST:/VOLUME and a directory, or --volfile and a directory; ' +
        'see "mortar client --help"',
    );
  }
  if (volfile !== undefined) return { volume: undefined, directory };
  const volume = readAddress(operands[0]!);
  if (volume) return { volume, directory };
  throw new UsageError(
    `Cannot mount "${
      operands[0]
    }": expected HOST:/VOLUME, with a port HOST:PORT:/VOLUME, and IPv6 ` +
      "addresses in brackets",
  );
}

function subdirectoryOf(volume: Address | undefined): string | undefined {
  return volume && volume.path !== "/" ? volume.path : undefined;
}

// Colons stand between servers, and before a port, which is a number.
function servers({ host }: Address, port: number, { backups }: MountWords): Endpoint[] {
  const found: Endpoint[] = [{ kind: "tcp", host, port }];
  for (const word of backups) {
    if (/^\d+$/.test(word) && found.length > 1) {
      const { host } = found.pop() as { host: string };
      found.push({ kind: "tcp", host, port: parsePort(word, "backup-volfile-servers") });
    } else found.push({ kind: "tcp", host: word.replace(/^\[(.*)\]$/, "$1"), port });
  }
  return found;
}

// As it is called from everywhere: a client that leaves its directory would not find it otherwise.
async function realDirectory(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new CommandError(`Cannot mount on "${path}": there is no such directory`);
    }
    if (error instanceof Error && /os error (107|103)\b/.test(error.message)) {
      throw new CommandError(
        `Cannot mount on "${path}": a client that is gone left its mount there; take it off with ` +
          `"umount -l ${path}"`,
      );
    }
    throw new CommandError(`Cannot mount on "${path}": ${plain(error)}`);
  }
}

// Children have it from their parents, and the kernel says what it does not take.
function setOomScoreAdj(value: string): void {
  const O_WRONLY = 1;
  const bytes = new TextEncoder().encode(value);
  // Deno lets nobody write there who may not do everything.
  const fd = sys.openat(AT_FDCWD, cstring("/proc/self/oom_score_adj"), O_WRONLY | O_CLOEXEC, 0);
  const written = fd < 0 ? fd : sys.write(fd, bytes, bytes.length);
  if (fd >= 0) sys.close(fd);
  if (written === bytes.length) return;
  throw new UsageError(
    `Cannot use mount option "oom-score-adj=${value}": expected -1000 to 1000, below 0 as root ` +
      `(${fopError(written).code})`,
  );
}

async function defaultLog(mountpoint: string): Promise<string> {
  const env = (name: string) => Deno.env.get(name);
  const { logs } = placesUnder(defaultHome({ uid: Deno.uid(), env }));
  await Deno.mkdir(logs, { recursive: true });
  return `${logs}/${dashed(mountpoint) || "root"}.log`;
}

// Who waits for the mount reads that; later nobody may.
function tellMounted(mountpoint: string, notes: readonly string[]): void {
  try {
    const lines = [...notes.map((note) => `${NOTE}${note}`), `Mounted on ${mountpoint}`];
    Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  } catch {
    // Nobody is there to read it.
  }
}
