/** `snapshot export`: a file of a snapshot, or what changed in it, as a file here. */

import type { XlatorTypes } from "core/registry.ts";
import { daemonOf } from "mgmt/cli/client.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import type { Globals } from "mgmt/cli/globals.ts";
import { Session } from "mgmt/file/session.ts";
import { exportFile } from "mgmt/snapshots/export.ts";

/** The command, for volumes made of `types`; `globals` name the daemon. */
export function snapshotExport(types: XlatorTypes, globals: Globals): Command {
  return command({
    name: "snapshot export",
    summary: "Write a file of a snapshot to a file here",
    description: [
      "OUT is written under a temporary name and renamed when it is complete. Holes stay holes. Of a " +
      "snapshot of a file the path may be left out; another snapshot has to be active.",
      "With --since OUT is a qcow2 image of what changed since an older snapshot, whose backing file is " +
      "the export of that one: a chain that QEMU reads, and that qemu-img rebase, commit and convert " +
      "make shorter. The backing file's name in the image is OUT's with the older snapshot's name in " +
      "place of the newer one's, or what --backing says, seen from OUT's directory.",
    ],
    options: {
      format: { value: "raw|qcow2", help: "Format of OUT; raw, or qcow2 if OUT ends so." },
      since: { value: "OLD", help: "Only what changed since that snapshot, as qcow2." },
      backing: { value: "FILE", help: "With --since: the export of OLD, as OUT is to name it." },
      force: { short: "f", help: "Replace OUT if it is there." },
      quiet: { short: "q", help: "Show no progress, also on a terminal." },
      verbose: { short: "v", help: "Log connections." },
    },
    operands: { label: "SNAPNAME[:PATH] OUT", min: 2, max: 2 },
    examples: [
      {
        what: "A virtual machine's disk as it was on Monday",
        line: "mortar snapshot export monday:/images/vm1.img vm1-monday.qcow2",
      },
      {
        what: "What changed until Tuesday, over that",
        line: "mortar snapshot export tuesday:/images/vm1.img vm1-tuesday.qcow2 --since monday",
      },
    ],
    async run({ format, since, backing, force, quiet, verbose }, [source, out]) {
      const colon = source!.indexOf(":");
      const snapshot = colon < 0 ? source! : source!.slice(0, colon);
      if (backing !== undefined && since === undefined) {
        throw new UsageError("Cannot use --backing: give --since with it");
      }
      if (since !== undefined && format === "raw") {
        throw new UsageError("Cannot export what changed as raw: only qcow2 has a backing file");
      }
      if (out!.endsWith("/")) throw new UsageError(`Cannot write "${out}": name a file`);
      await using session = new Session(types, { verbose, quiet });
      await exportFile(session, daemonOf(globals, "mortar"), {
        ...{ snapshot, path: colon < 0 ? undefined : source!.slice(colon + 1), out: out! },
        ...{ since, backing, force, format: formatFor(format, since, out!) },
      });
      return 0;
    },
  });
}

function formatFor(
  format: string | undefined,
  since: string | undefined,
  out: string,
): "raw" | "qcow2" {
  if (format === "raw" || format === "qcow2") return format;
  if (format !== undefined) throw new UsageError(`Cannot write "${format}": expected raw or qcow2`);
  return since !== undefined || out.endsWith(".qcow2") ? "qcow2" : "raw";
}
