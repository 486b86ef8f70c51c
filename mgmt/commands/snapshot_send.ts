/** `snapshot send`: a snapshot, or what changed since an older one, as a stream of bytes. */

import type { XlatorTypes } from "core/registry.ts";
import { daemonOf } from "mgmt/cli/client.ts";
import { type Command, command, CommandError } from "mgmt/cli/command.ts";
import type { Globals } from "mgmt/cli/globals.ts";
import { doing } from "mgmt/file/failures.ts";
import { say, Session } from "mgmt/file/session.ts";
import { sendSnapshot } from "mgmt/snapshots/send.ts";

/** The command, for volumes made of `types`; `globals` name the daemon. */
export function snapshotSend(types: XlatorTypes, globals: Globals): Command {
  return command({
    name: "snapshot send",
    summary: "Write a snapshot as a stream, for another volume or cluster",
    description: [
      "The stream goes to standard output, or to the file of --output; snapshot receive makes a " +
      "snapshot of it, on any cluster. The snapshot has to be active.",
      "With --since it has what changed since an older snapshot that the receiver has: received from a " +
      "stream of that one, or the very same.",
      "An interrupted receiver tells what to give to --resume (snapshot received); what it has is not " +
      "sent again.",
    ],
    options: {
      since: { value: "OLD", help: "Only what changed since that snapshot." },
      output: { short: "o", value: "FILE", help: "Write there; what is there is replaced." },
      resume: { value: "TOKEN", help: "Go on where a receiver was interrupted." },
      quiet: { short: "q", help: "Show no progress, also on a terminal." },
      verbose: { short: "v", help: "Log connections." },
    },
    operands: { label: "SNAPNAME", min: 1, max: 1 },
    examples: [
      {
        what: "All of a volume to another cluster",
        line: "mortar snapshot send monday | ssh backup mortar snapshot receive copy",
      },
      {
        what: "What changed on Tuesday",
        line:
          "mortar snapshot send tuesday --since monday | ssh backup mortar snapshot receive copy",
      },
    ],
    async run({ since, output, resume, quiet, verbose }, [snapshot]) {
      if (output === undefined && Deno.stdout.isTerminal()) {
        throw new CommandError("Cannot send to a terminal: use a pipe, or --output FILE");
      }
      await using session = new Session(types, { verbose, quiet });
      const wanted = { snapshot: snapshot!, since, resume }, daemon = daemonOf(globals, "mortar");
      if (output === undefined) {
        await doing("send", snapshot!, () => sendSnapshot(session, daemon, wanted, say));
        return 0;
      }
      await doing("write", output, async () => {
        // Not before there is something to send.
        let file: Deno.FsFile | undefined;
        try {
          await sendSnapshot(session, daemon, wanted, async (bytes) => {
            file ??= await Deno.open(output, { write: true, create: true, truncate: true });
            for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
          });
          await file?.sync();
        } finally {
          file?.close();
        }
      });
      return 0;
    },
  });
}
