/** `snapshot receive`: a stream of `snapshot send` becomes a snapshot. */

import type { XlatorTypes } from "core/registry.ts";
import { daemonOf } from "mgmt/cli/client.ts";
import { type Command, command } from "mgmt/cli/command.ts";
import type { Globals } from "mgmt/cli/globals.ts";
import { doing } from "mgmt/file/failures.ts";
import { complain, Session } from "mgmt/file/session.ts";
import { receiveSnapshot } from "mgmt/snapshots/receive.ts";
import type { ReadInto } from "mgmt/snapshots/stream.ts";

/** The command, for volumes made of `types`; `globals` name the daemon. */
export function snapshotReceive(types: XlatorTypes, globals: Globals): Command {
  return command({
    name: "snapshot receive",
    summary: "Make a snapshot of a stream that snapshot send wrote",
    description: [
      "The stream comes from standard input, or from the file of --input. The volume, which has to be " +
      "started, becomes what was sent; then a snapshot is taken, with the name that the sent one has " +
      "unless another is given. A whole snapshot needs an empty volume; changes need a volume that " +
      "nobody changed since the snapshot that they are sent since: keep it read-only.",
      "If it is interrupted no snapshot is there, and snapshot received tells how to go on.",
    ],
    options: {
      input: { short: "i", value: "FILE", help: "Read from there." },
      quiet: { short: "q", help: "Show no progress, also on a terminal." },
      verbose: { short: "v", help: "Log connections." },
    },
    operands: { label: "VOLUME [SNAPNAME]", min: 1, max: 2 },
    examples: [
      {
        what: "A copy of a snapshot in the volume copy",
        line: "mortar snapshot receive copy --input monday.stream",
      },
    ],
    async run({ input, quiet, verbose }, [volume, name]) {
      await using session = new Session(types, { verbose, quiet });
      const daemon = daemonOf(globals, "mortar");
      const receive = (read: ReadInto) => receiveSnapshot(session, daemon, volume!, name, read);
      const taken = input === undefined
        ? await receive((into) => session.waitFor(Deno.stdin.read(into)))
        : await doing("read", input, async () => {
          using file = await Deno.open(input);
          return await receive((into) => file.read(into));
        });
      if (!quiet) complain(`snapshot receive: success: Snap ${taken} received successfully\n`);
      return 0;
    },
  });
}
