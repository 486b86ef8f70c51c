/** `system:: getspec`: a volfile as clients get it. */

import { managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { GetspecAnswer } from "mgmt/status/answers.ts";

/** See the head of this file. */
export const systemGetspec = managed({
  path: "system:: getspec",
  summary: "fetch the volume file that clients get",
  args: {
    key: operand("<VOLFILE-ID>", {
      help: "A volume's name for its clients; or VOLUME.HOST.PATH-WITH-DASHES, shd/VOLUME, ….",
      offers: "volume",
    }),
  },
  scope: "nothing",
  // The volfile has the login of clients; strangers get theirs, without it, over the handshake.
  localOnly: true,
  rest: "GET /volfile",
  examples: [{ what: "What a client of v1 runs", line: "mortar system getspec v1" }],
  async apply(cluster, { key }): Promise<GetspecAnswer> {
    const volfile = await cluster.volfile(key);
    if (volfile === undefined) {
      throw new Refusal(
        `Cannot fetch volfile "${key}": there is none of that name; "volume list" names the volumes`,
      );
    }
    return { key, volfile };
  },
  // GlusterFS prints one newline behind the volfile's own.
  text: ({ volfile }) => `${volfile}\n`,
  xml: ({ key, volfile }) => [
    element("getspec", [element("key", key), element("volfile", volfile)]),
  ],
  failedXml: () => ({ elements: [], exitCode: 1 }),
});
