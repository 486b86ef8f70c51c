/** `snapshot received`: where a receiver was interrupted. */

import { keyword, managed, volumeName } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { volumeNamed } from "mgmt/snapshots/look_up.ts";
import { noteReceived, parseToken, receivedOf, tokenText } from "mgmt/snapshots/received.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";
import { checkStarted } from "mgmt/snapshots/take.ts";

/** What it answers. */
export type SnapshotReceived = {
  readonly volume: string;
  /** For snapshot send --resume; null: it is receiving nothing. */
  readonly token: string | null;
  /** Where clients find the volume. */
  readonly server: { readonly host: string; readonly port: number };
};

const NONE = "none";

/** See the head of this file. */
export const snapshotReceived = managed({
  path: "snapshot received",
  summary: "How far a volume has come in receiving a snapshot",
  description: [
    "After snapshot receive was interrupted it tells what to give to snapshot send --resume, so that " +
    "what arrived is not sent again. --note is for receivers; --note none forgets an interrupted one " +
    "for good: what had arrived is in the volume.",
  ],
  args: {
    volume: volumeName,
    note: keyword("--note", "<TOKEN>", {
      help: "Note this place, or none.",
      parse: (word) => word === NONE ? NONE : parseToken(word),
    }),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/received",
  examples: [{ what: "Where to go on", line: "mortar snapshot received v2" }],
  async check(cluster, { volume }) {
    checkStarted(await volumeNamed(cluster, volume));
  },
  async apply(cluster, { volume, note }): Promise<SnapshotReceived> {
    if (note !== undefined) await noteReceived(cluster, volume, note === NONE ? undefined : note);
    const token = await receivedOf(cluster, volume), server = cluster.server();
    return { volume, token: token ? tokenText(token) : null, server };
  },
  text: ({ volume, token }) =>
    token === null ? `Volume ${volume} is receiving nothing\n` : `${token}\n`,
  xml: ({ volume, token }) => [
    element("snapReceived", [
      element("volume", volume),
      ...token === null ? [] : [element("token", token)],
    ]),
  ],
  failed: (message) => `snapshot received: failed: ${message}`,
  ...FAILING,
});
