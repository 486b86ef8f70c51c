/** `mortar qcow2 …`: inside of disk images. */

import { realClock } from "core/env.ts";
import type { XlatorTypes } from "core/registry.ts";
import { daemonOf } from "mgmt/cli/client.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { readGlobals } from "mgmt/cli/globals.ts";
import { shownName } from "mgmt/file/listing.ts";
import { Progress, sizeText } from "mgmt/file/progress.ts";
import { say } from "mgmt/file/session.ts";
import { cloneImage } from "mgmt/qcow2/clone.ts";
import { exportTo } from "mgmt/qcow2/export.ts";
import { ImagePlaces } from "mgmt/qcow2/places.ts";
import { checkImage, repairImage } from "snapshot/qcow2/check.ts";
import type { Disk } from "snapshot/qcow2/disk.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import { imageInfo, snapshotInfo } from "snapshot/qcow2/info.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import type { Tables } from "snapshot/qcow2/tables.ts";

const ROOT = {
  value: "DIR",
  help: "Where files that the image names may be; its own directory if absent.",
} as const;
const JSON_OPTION = { help: "Print JSON." } as const;
const FILES =
  "An image is a file of this machine, or HOST:VOLUME/PATH. A backing or data file that it names is " +
  "opened below its own directory, or below --root DIR, or in the same volume, and nowhere else.";

/** What volumes' graphs are made of, loaded when one is needed. */
type Types = () => Promise<XlatorTypes>;

/** All commands of the group. */
export function qcow2(types: Types): readonly Command[] {
  return [
    infoCommand(types),
    listCommand(types),
    snapshotCommand(types),
    catCommand(types),
    exportCommand(types),
    cloneCommand(types),
    checkCommand(types),
    mapCommand(types),
  ];
}

function print(value: unknown): Promise<void> {
  return say(`${JSON.stringify(value, null, 4)}\n`);
}

function diskOf(image: Image, snapshot: string | undefined): Disk {
  return snapshot === undefined ? image.disk : image.snapshotDisk(image.snapshot(snapshot));
}

function infoCommand(types: Types): Command {
  return command({
    name: "qcow2 info",
    summary: "Say what an image is and which snapshots it has",
    description: ["Prints what qemu-img info would; --json in the same words.", FILES],
    options: { json: JSON_OPTION, root: ROOT },
    operands: { label: "IMAGE", min: 1, max: 1 },
    examples: [{ what: "An image's size and snapshots", line: "mortar qcow2 info vm1.qcow2" }],
    async run({ json, root }, [path]) {
      await using places = new ImagePlaces(types);
      const taken = await places.takes(path!);
      return await places.with(path!, { root }, async (image) => {
        const info = await imageInfo(image, taken);
        if (json) await print({ ...info, filename: path! });
        else {
          const { header } = image.parts;
          await say(
            `image: ${path}\nvirtual size: ${sizeText(header.size)} (${header.size} bytes)\n`,
          );
          await say(`cluster size: ${1 << header.clusterBits}\n`);
          if (header.backingFile !== undefined) {
            await say(`backing file: ${shownName(header.backingFile)}\n`);
          }
          await sayList(image);
        }
        return 0;
      });
    },
  });
}

async function sayList(image: Image): Promise<void> {
  for (const { id, name, seconds, diskSize, vmStateSize } of image.snapshots) {
    const state = vmStateSize ? `, VM state ${sizeText(vmStateSize)}` : "";
    const date = new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
    await say(`snapshot ${id}: ${shownName(name)}, ${date} UTC, ${sizeText(diskSize)}${state}\n`);
  }
}

function listCommand(types: Types): Command {
  return command({
    name: "qcow2 ls",
    summary: "List the images of a directory and their snapshots",
    description: ["Files that are no qcow2 images are passed over."],
    options: { json: JSON_OPTION, root: ROOT },
    operands: { label: "DIR", min: 1, max: 1 },
    examples: [{ what: "What is in a directory", line: "mortar qcow2 ls /srv/images" }],
    async run({ json, root }, [folder]) {
      await using places = new ImagePlaces(types);
      const found: unknown[] = [];
      for (const { name, text } of await places.images(folder!)) {
        await places.with(text, { root, alone: true }, async (image) => {
          const { size } = image.parts.header;
          const snapshots = image.snapshots.map(snapshotInfo);
          if (json) found.push({ name, "virtual-size": size, snapshots });
          else {
            await say(`${shownName(name)}  ${sizeText(size)}\n`);
            for (const each of image.snapshots) await say(`${shownName(`${name}@${each.name}`)}\n`);
          }
        }).catch((error) => say(`${shownName(name)}  ${(error as Error).message}\n`));
      }
      if (json) await print(found);
      return 0;
    },
  });
}

type Change = (tables: Tables, image: Image, name: string) => Promise<unknown>;
const CHANGES: Readonly<Record<string, Change>> = {
  create: (tables, _image, name) => createSnapshot(tables, name, realClock.now()),
  delete: (tables, image, name) => deleteSnapshot(tables, image.snapshot(name)),
  apply: (tables, image, name) => applySnapshot(tables, image.snapshot(name)),
};

function snapshotCommand(types: Types): Command {
  return command({
    name: "qcow2 snapshot",
    summary: "List, create, delete or apply an image's own snapshots",
    description: [
      "create and delete leave the disk as it is now; apply takes it back, and what it is now is lost. " +
      "An image that a guest has open is refused, and none can open it meanwhile; but QEMU's gluster " +
      "driver does not look whether it may: start no guest with gluster:// meanwhile.",
      FILES,
    ],
    options: { json: JSON_OPTION, root: ROOT },
    operands: { label: "list|create|delete|apply IMAGE [SNAPSHOT]", min: 2, max: 3 },
    examples: [
      { what: "Before an upgrade", line: "mortar qcow2 snapshot create vm1.qcow2 before-upgrade" },
      { what: "Back to it", line: "mortar qcow2 snapshot apply vm1.qcow2 before-upgrade" },
    ],
    async run({ json, root }, [verb, path, name]) {
      await using places = new ImagePlaces(types);
      if (verb === "list" && name === undefined) {
        return await places.with(path!, { root, alone: true }, async (image) => {
          if (json) await print(image.snapshots.map(snapshotInfo));
          else await sayList(image);
          return 0;
        });
      }
      const change = Object.hasOwn(CHANGES, verb!) ? CHANGES[verb!] : undefined;
      if (!change || name === undefined) {
        throw new UsageError(
          "Cannot change snapshots: expected list IMAGE, or create, delete or apply IMAGE SNAPSHOT",
        );
      }
      return await places.with(path!, { root, writable: true }, async (image) => {
        const editor = await opened(image);
        try {
          await editor.alone((tables) => change(tables, image, name));
        } finally {
          await editor.close();
        }
        return 0;
      });
    },
  });
}

async function opened(image: Image): Promise<Editor> {
  try {
    return await Editor.open(image);
  } catch (error) {
    await image.close();
    throw error;
  }
}

function catCommand(types: Types): Command {
  return command({
    name: "qcow2 cat",
    summary: "Write a disk, or a snapshot's, to standard output",
    description: ["IMAGE@SNAPSHOT is the disk as it was at that snapshot.", FILES],
    options: { root: ROOT },
    operands: { label: "IMAGE[@SNAPSHOT]", min: 1, max: 1 },
    examples: [{ what: "A checksum", line: "mortar qcow2 cat vm1.qcow2@before | sha256sum" }],
    async run({ root }, [text]) {
      await using places = new ImagePlaces(types);
      const { path, snapshot } = await places.parse(text!);
      return await places.with(path, { root }, async (image) => {
        const disk = diskOf(image, snapshot), buffer = new Uint8Array(1 << 20);
        for (let at = 0; at < disk.size; at += buffer.length) {
          const part = buffer.subarray(0, Math.min(buffer.length, disk.size - at));
          await disk.read(at, part);
          await say(part);
        }
        return 0;
      });
    },
  });
}

function exportCommand(types: Types): Command {
  return command({
    name: "qcow2 export",
    summary: "Write a disk, or a snapshot's, to a file of its own",
    description: [
      "The file needs no other: what a backing file has is in it. What has no data is a hole. OUT must " +
      "not exist.",
      FILES,
    ],
    options: {
      format: { value: "FORMAT", help: "raw or qcow2; raw if absent." },
      quiet: { short: "q", help: "Show no progress, also on a terminal." },
      root: ROOT,
    },
    operands: { label: "IMAGE[@SNAPSHOT] OUT", min: 2, max: 2 },
    examples: [
      {
        what: "Last week's disk, to be mounted",
        line: "mortar qcow2 export vm1.qcow2@monday monday.raw",
      },
    ],
    async run({ format = "raw", quiet, root }, [text, target]) {
      await using places = new ImagePlaces(types);
      if (format !== "raw" && format !== "qcow2") {
        throw new UsageError(`Cannot export as "${format}": expected raw or qcow2`);
      }
      const { path, snapshot } = await places.parse(text!);
      const shows = !quiet && Deno.stderr.isTerminal();
      const write = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(line));
      const progress = new Progress(realClock, shows ? write : undefined);
      try {
        return await places.with(path, { root }, async (image) => {
          const disk = diskOf(image, snapshot);
          progress.file(text!, disk.size);
          await exportTo(disk, await places.create(target!), format, progress);
          return 0;
        });
      } finally {
        progress.end();
      }
    },
  });
}

function cloneCommand(types: Types): Command {
  return command({
    name: "qcow2 clone",
    summary: "Make a new image that begins as a snapshot of another one",
    description: [
      "The new image shares its data with the other one and costs what is written to either, whatever " +
      "its size; it has the same snapshots, and the other one stays as it is. NEW must not exist. In a " +
      "volume the management daemon of this machine clones the file, which a guest may have open; here " +
      "the file system must be one that shares blocks (xfs, btrfs).",
      FILES,
    ],
    options: {
      home: { value: "DIR", help: "Home of the management daemon to ask." },
      socket: { value: "PATH", help: "Socket of the management daemon to ask." },
      root: ROOT,
    },
    operands: { label: "IMAGE@SNAPSHOT NEW", min: 2, max: 2 },
    examples: [
      {
        what: "Another guest that begins as this one was on Monday",
        line: "mortar qcow2 clone server:v1/vms/vm1.qcow2@monday server:v1/vms/vm2.qcow2",
      },
    ],
    async run({ home, socket, root }, [source, target]) {
      await using places = new ImagePlaces(types);
      const daemon = daemonOf({ ...readGlobals([], "mortar"), home, socket }, "mortar");
      await cloneImage(places, daemon, { source: source!, target: target!, root });
      return 0;
    },
  });
}

function checkCommand(types: Types): Command {
  return command({
    name: "qcow2 check",
    summary: "Check an image's tables and refcounts",
    description: ["Ends with 0 if nothing is wrong, 3 for leaked clusters only, 2 for worse."],
    options: {
      json: JSON_OPTION,
      repair: { help: "Set refcounts right; nobody else may use the image." },
      root: ROOT,
    },
    operands: { label: "IMAGE", min: 1, max: 1 },
    examples: [{ what: "After a crash", line: "mortar qcow2 check --repair vm1.qcow2" }],
    async run({ json, repair, root }, [path]) {
      await using places = new ImagePlaces(types);
      const options = { root, alone: true, writable: repair };
      const report = await places.with(path!, options, async (image) => {
        if (!repair) return await checkImage(image);
        try {
          return await repairImage(image);
        } finally {
          await image.close();
        }
      });
      const { leaks, tooLow, errors, used } = report;
      if (json) {
        await print({ leaks, corruptions: tooLow, errors, "allocated-clusters": used, repair });
      } else {
        for (const line of errors) await say(`${line}\n`);
        const mended = repair ? ", mended" : "";
        if (leaks) await say(`${leaks} leaked clusters${mended}\n`);
        if (tooLow) await say(`${tooLow} clusters are used more often than they count${mended}\n`);
        if (!leaks && !tooLow && !errors.length) await say("nothing is wrong\n");
      }
      return errors.length || (tooLow && !repair) ? 2 : leaks && !repair ? 3 : 0;
    },
  });
}

function mapCommand(types: Types): Command {
  return command({
    name: "qcow2 map",
    summary: "Say which parts of a disk have data",
    description: [
      "One line for each stretch: where it begins, its length, and data, zero or hole.",
    ],
    options: { json: JSON_OPTION, root: ROOT },
    operands: { label: "IMAGE[@SNAPSHOT]", min: 1, max: 1 },
    examples: [{ what: "What is in use", line: "mortar qcow2 map vm1.qcow2" }],
    async run({ json, root }, [text]) {
      await using places = new ImagePlaces(types);
      const { path, snapshot } = await places.parse(text!);
      return await places.with(path, { root }, async (image) => {
        const disk = diskOf(image, snapshot), all: unknown[] = [];
        for await (const { offset, length, kind } of disk.extents(0, disk.size)) {
          if (json) {
            all.push({ start: offset, length, data: kind === "data", zero: kind !== "data" });
          } else await say(`${offset}\t${length}\t${kind}\n`);
        }
        if (json) await print(all);
        return 0;
      });
    },
  });
}
