/** `peer probe`: playbooks ask every host of a volume to join; this node is in its pool already. */

import { managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";

/** What it answers, to whom only this node's own names are known. */
export type PeerProbe = { readonly host: string; readonly said: string };

/** See the head of this file. */
export const peerProbe = managed({
  path: "peer probe",
  summary: "probe peer specified by <HOSTNAME>",
  description: ["A pool has one node so far: only names and addresses of this node are right."],
  args: { host: operand("<HOSTNAME>", { help: "Name or address of the node." }) },
  scope: "nothing",
  rest: "POST /nodes",
  localOnly: true,
  examples: [{ what: "Nothing: this node is there", line: "mortar peer probe 127.0.0.1" }],
  async apply(cluster, { host }): Promise<PeerProbe> {
    if (await cluster.isOwn(host)) return { host, said: "Probe on localhost not needed" };
    throw new Refusal(
      `Cannot take ${host} into the pool: it is another machine, and a pool has one node so far; ` +
        "use names and addresses of this machine",
    );
  },
  text: ({ said }) => `peer probe: ${said}\n`,
  xml: ({ said }) => [element("output", said)],
  failed: (message) => `peer probe: failed: ${message}`,
});
