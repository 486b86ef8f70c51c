/** `volume sync`: fetches the records of volumes from another node. */

import { managed, operand, optional, Refusal } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { VolumeSyncAnswer } from "mgmt/status/answers.ts";

/** GlusterFS refuses this before anything else does, and has no number for it. */
const OWN = "sync from localhost not allowed";

/** See the head of this file. */
export const volumeSync = managed({
  path: "volume sync",
  summary: "sync the volume information from a peer",
  args: {
    host: operand("<HOSTNAME>", { help: "The node whose records are right." }),
    volume: optional("[all|<VOLNAME>]", {
      help: "One volume; all if not given.",
      offers: "volume",
    }),
  },
  scope: "all",
  rest: "POST /sync",
  examples: [{ what: "Take over all that node b knows", line: "mortar volume sync b" }],
  apply: (cluster, { host }): Promise<VolumeSyncAnswer> => refuse(cluster, host),
  text: () => "volume sync: success\n",
  xml: () => [element("cliOp", "volSync"), element("output", "volume sync: success")],
  failed: (message) => `volume sync: failed: ${message}`,
  failedXml: (message) => ({
    ...(message === OWN ? { opErrno: 0 } : {}),
    elements: [
      element("cliOp", "volSync"),
      element("output", `volume sync: failed: ${message}`),
    ],
    exitCode: 0,
  }),
});

/** A cluster of one node has nobody to fetch from: every host is this node, or a stranger. */
async function refuse(cluster: Cluster, host: string): Promise<never> {
  if (host === "localhost" || await cluster.isOwn(host)) {
    throw new Refusal(OWN);
  }
  throw new Refusal(`${host}, is not a friend`);
}
