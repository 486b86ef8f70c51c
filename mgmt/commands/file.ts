/** `mortar file …`: files of a volume without mounting it. */

import { ENOENT } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { Volume } from "core/volume.ts";
import { type Command, command, CommandError, UsageError } from "mgmt/cli/command.ts";
import { type Address, inside, lastName, parseAddress, readAddress } from "mgmt/file/address.ts";
import { doing } from "mgmt/file/failures.ts";
import { modeText, shownName, statJson, table, timeOf } from "mgmt/file/listing.ts";
import { say, Session } from "mgmt/file/session.ts";
import { cat, get, isDirectoryAt, localInfo, put, putContent } from "mgmt/file/transfer.ts";

const VERBOSE = {
  short: "v",
  help: "Say which layers of the volume are left out, and log connections.",
} as const;
const QUIET = { short: "q", help: "Show no progress, also on a terminal." } as const;
const RECURSIVE = { short: "r", help: "Directories with all that is in them." } as const;

const ADDRESSES =
  "HOST is the machine that serves the volume's volfile, on port 24007 or HOST:PORT; " +
  "IPv6 addresses stand in brackets. What may be done is decided for the user who runs this.";

/** All commands of the group. */
export function file(types: XlatorTypes): readonly Command[] {
  return [
    putCommand(types),
    getCommand(types),
    catCommand(types),
    listCommand(types),
    statCommand(types),
    removeCommand(types),
    mkdirCommand(types),
    moveCommand(types),
  ];
}

function putCommand(types: XlatorTypes): Command {
  return command({
    name: "file put",
    summary: "Copy files into a volume",
    description: [
      "Copies local files, or standard input (-), to HOST:VOLUME/PATH; into it if it is a directory. " +
      "A file is written under a temporary name, put on stable storage and then renamed: readers see " +
      "the old file or the new one. Permission bits are kept; owners and times are those of the copy.",
      ADDRESSES,
    ],
    options: { recursive: RECURSIVE, quiet: QUIET, verbose: VERBOSE },
    operands: { label: "SOURCE… HOST:VOLUME/PATH", min: 2 },
    examples: [
      {
        what: "An image into the directory images of volume v1",
        line: "mortar file put disk.qcow2 server:v1/images/",
      },
      { what: "A stream", line: "zcat dump.gz | mortar file put - server:v1/dump" },
      { what: "A directory, over IPv6", line: "mortar file put -r photos '[fe80::1]:v1/'" },
    ],
    async run({ recursive, quiet, verbose }, operands) {
      const sources = operands.slice(0, -1);
      const given = parseAddress(operands.at(-1)!);
      if (sources.includes("-") && sources.length > 1) {
        throw new UsageError('Cannot put: "-" stands alone');
      }
      await using session = new Session(types, { verbose, quiet });
      const volume = await session.volume(given);
      const into = await doing("put", given.text, () => isDirectoryAt(volume, given.path));
      if (!into && (sources.length > 1 || given.path.endsWith("/"))) {
        throw new CommandError(`Cannot put into ${given.text}: it is no directory`);
      }
      for (const source of sources) {
        if (source === "-") {
          if (into) throw new CommandError(`Cannot put ${given.text}: it is a directory`);
          session.progress.file(lastName(given.path), 0);
          await putContent(session, Deno.stdin, given, 0o644);
          continue;
        }
        const name = lastName(await doing("read", source, () => Deno.realPath(source)));
        await put(
          session,
          source,
          into ? inside(given, localName(source) || name) : given,
          recursive,
        );
      }
      return 0;
    },
  });
}

function localName(path: string): string {
  const name = lastName(path.replace(/\/+$/, ""));
  return name === "." || name === ".." ? "" : name;
}

function getCommand(types: XlatorTypes): Command {
  return command({
    name: "file get",
    summary: "Copy files out of a volume",
    description: [
      "Copies HOST:VOLUME/PATH to a local file, into a local directory, or to standard output (-). A " +
      "file is written under a temporary name, put on stable storage and then renamed.",
      ADDRESSES,
    ],
    options: { recursive: RECURSIVE, quiet: QUIET, verbose: VERBOSE },
    operands: { label: "HOST:VOLUME/PATH… TARGET", min: 2 },
    examples: [
      {
        what: "An image into this directory",
        line: "mortar file get server:v1/images/disk.qcow2 .",
      },
      { what: "A directory", line: "mortar file get -r server:v1/photos /tmp/" },
    ],
    async run({ recursive, quiet, verbose }, operands) {
      const sources = operands.slice(0, -1).map(parseAddress);
      const target = operands.at(-1)!;
      if (readAddress(target) && !await localInfo(target)) {
        throw new UsageError(
          `Cannot get to "${target}": expected a local path; ./${target} would be one`,
        );
      }
      await using session = new Session(types, { verbose, quiet });
      if (target === "-") {
        for (const source of sources) await cat(session, source);
        return 0;
      }
      const into = (await doing("write", target, () => localInfo(target)))?.isDirectory ?? false;
      if (!into && (sources.length > 1 || target.endsWith("/"))) {
        throw new CommandError(`Cannot get into ${target}: it is no directory`);
      }
      for (const source of sources) {
        const name = lastName(source.path.replace(/\/+$/, "")) || source.volume;
        const to = into ? `${target.replace(/\/+$/, "")}/${name}` : target;
        await get(session, source, to, recursive);
      }
      return 0;
    },
  });
}

function catCommand(types: XlatorTypes): Command {
  return command({
    name: "file cat",
    summary: "Write files of a volume to standard output",
    description: [ADDRESSES],
    options: { verbose: VERBOSE },
    operands: { label: "HOST:VOLUME/PATH…", min: 1 },
    examples: [{ what: "Read a note", line: "mortar file cat server:v1/notes/today" }],
    async run({ verbose }, operands) {
      const sources = operands.map(parseAddress);
      await using session = new Session(types, { verbose });
      for (const source of sources) await cat(session, source);
      return 0;
    },
  });
}

function listCommand(types: XlatorTypes): Command {
  return command({
    name: "file ls",
    summary: "List a directory of a volume",
    description: [
      "Lists names in order, one a line; names that begin with a dot with --all. Characters that a " +
      "terminal would act on are shown as \\xNN.",
      ADDRESSES,
    ],
    options: {
      long: { short: "l", help: "Permissions, links, owner, size and time of change (UTC), too." },
      all: { short: "a", help: "Names that begin with a dot, too." },
      json: { help: "One JSON array with everything, for programs." },
      verbose: VERBOSE,
    },
    operands: { label: "HOST:VOLUME/PATH", min: 1, max: 1 },
    examples: [
      { what: "What is in images", line: "mortar file ls -l server:v1/images" },
      { what: "Sizes, for a program", line: "mortar file ls --json server:v1 | jq '.[].size'" },
    ],
    async run({ long, all, json, verbose }, [operand]) {
      const address = parseAddress(operand!);
      await using session = new Session(types, { verbose });
      const volume = await session.volume(address);
      const entries = await doing("list", address.text, () => entriesAt(volume, address.path));
      const shown = entries.filter(({ name }) => all || json || !name.startsWith("."))
        .sort((a, b) => a.name < b.name ? -1 : 1);
      if (json) {
        const objects = shown.map(({ name, stat }) => JSON.stringify(statJson(name, stat)));
        await say(objects.length ? `[\n${objects.join(",\n")}\n]\n` : "[]\n");
      } else if (long) {
        const rows = shown.map(({ name, stat }) => [
          modeText(stat),
          String(stat.nlink),
          String(stat.uid),
          String(stat.gid),
          String(stat.size),
          timeOf(stat.mtime, 0).slice(0, 19).replace("T", " "),
          shownName(name),
        ]);
        await say(table(rows, [1, 2, 3, 4]));
      } else await say(shown.map(({ name }) => `${shownName(name)}\n`).join(""));
      return 0;
    },
  });
}

async function entriesAt(volume: Volume, path: string) {
  const stat = await volume.stat(path);
  if (!isDirectory(stat)) return [{ name: lastName(path), stat }];
  return await Array.fromAsync(volume.readDir(path));
}

function statCommand(types: XlatorTypes): Command {
  return command({
    name: "file stat",
    summary: "Tell all about a file of a volume",
    description: ["Symbolic links are told themselves, not followed. Times are UTC.", ADDRESSES],
    options: { json: { help: "As one JSON object, for programs." }, verbose: VERBOSE },
    operands: { label: "HOST:VOLUME/PATH", min: 1, max: 1 },
    examples: [{ what: "How large an image is", line: "mortar file stat server:v1/images/disk" }],
    async run({ json, verbose }, [operand]) {
      const address = parseAddress(operand!);
      await using session = new Session(types, { verbose });
      const volume = await session.volume(address);
      const stat = await doing("stat", address.text, () => volume.lstat(address.path));
      const facts = statJson(lastName(address.path.replace(/\/+$/, "")), stat);
      await say(
        json ? `${JSON.stringify(facts, null, 2)}\n` : table(
          Object.entries(facts).map(([key, value]) => [`${key}:`, shownName(String(value))]),
          [],
        ),
      );
      return 0;
    },
  });
}

function removeCommand(types: XlatorTypes): Command {
  return command({
    name: "file rm",
    summary: "Remove files from a volume",
    description: [ADDRESSES],
    options: {
      recursive: RECURSIVE,
      force: { short: "f", help: "What is not there is no failure." },
      verbose: VERBOSE,
    },
    operands: { label: "HOST:VOLUME/PATH…", min: 1 },
    examples: [{ what: "A directory", line: "mortar file rm -r server:v1/photos" }],
    async run({ recursive, force, verbose }, operands) {
      const addresses = operands.map(parseAddress);
      await using session = new Session(types, { verbose });
      for (const address of addresses) {
        const volume = await session.volume(address);
        await doing(
          "remove",
          address.text,
          () =>
            remove(session, volume, address, recursive).catch((error) => {
              if (!force || !ENOENT.matches(error)) throw error;
            }),
        );
      }
      return 0;
    },
  });
}

async function remove(
  session: Session,
  volume: Volume,
  address: Address,
  recursive: boolean,
): Promise<void> {
  session.check();
  const path = address.path.replace(/\/+$/, "");
  if (path === "") throw new CommandError(`Cannot remove ${address.text}: it is the whole volume`);
  if (!isDirectory(await volume.lstat(path))) return await volume.unlink(path);
  if (!recursive) {
    throw new CommandError(`Cannot remove ${address.text}: it is a directory; use -r`);
  }
  // All of it first: a listing does not go on well while its entries go.
  const entries = await Array.fromAsync(volume.readDir(path));
  for (const { name } of entries) {
    const child = inside(address, name);
    await doing("remove", child.text, () => remove(session, volume, child, true));
  }
  await volume.rmdir(path);
}

function mkdirCommand(types: XlatorTypes): Command {
  return command({
    name: "file mkdir",
    summary: "Make directories in a volume",
    description: [ADDRESSES],
    options: {
      parents: { short: "p", help: "Those above, too; one that is there is no failure." },
      verbose: VERBOSE,
    },
    operands: { label: "HOST:VOLUME/PATH…", min: 1 },
    examples: [{ what: "Two levels", line: "mortar file mkdir -p server:v1/images/base" }],
    async run({ parents, verbose }, operands) {
      const addresses = operands.map(parseAddress);
      await using session = new Session(types, { verbose });
      for (const address of addresses) {
        const volume = await session.volume(address);
        await doing("make directory", address.text, () => volume.mkdir(address.path, { parents }));
      }
      return 0;
    },
  });
}

function moveCommand(types: XlatorTypes): Command {
  return command({
    name: "file mv",
    summary: "Rename files within a volume",
    description: [
      "Renames a file or directory, or moves it into TARGET if that is a directory. Both are in the " +
      "same volume; TARGET may be written as a path alone.",
      ADDRESSES,
    ],
    options: { verbose: VERBOSE },
    operands: { label: "HOST:VOLUME/PATH TARGET", min: 2, max: 2 },
    examples: [
      { what: "A new name", line: "mortar file mv server:v1/new.img server:v1/base.img" },
      { what: "The same", line: "mortar file mv server:v1/new.img /base.img" },
    ],
    async run({ verbose }, [from, to]) {
      const source = parseAddress(from!);
      const given: Address = to!.startsWith("/")
        ? { ...source, path: to!, text: to! }
        : parseAddress(to!);
      const one = ({ host, port, volume }: Address) => `${host} ${port} ${volume}`;
      if (one(source) !== one(given)) {
        throw new UsageError(`Cannot move ${from} to ${to}: they are in different volumes`);
      }
      await using session = new Session(types, { verbose });
      const volume = await session.volume(source);
      await doing("move", source.text, async () => {
        const into = await isDirectoryAt(volume, given.path);
        const name = lastName(source.path.replace(/\/+$/, ""));
        await volume.rename(source.path, into ? inside(given, name).path : given.path);
      });
      return 0;
    },
  });
}
