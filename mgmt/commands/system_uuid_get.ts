/** `system:: uuid get`: who this node is. */

import { managed } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";

/** What it answers. */
export type SystemUuidGet = { readonly uuid: string };

/** See the head of this file. */
export const systemUuidGet = managed({
  path: "system:: uuid get",
  summary: "get uuid of the management daemon",
  args: {},
  scope: "nothing",
  rest: "GET /node",
  examples: [{ what: "The UUID that this node has in its pool", line: "mortar system uuid get" }],
  apply: (cluster): SystemUuidGet => ({ uuid: cluster.nodeId }),
  text: ({ uuid }) => `UUID: ${uuid}\n`,
  xml: ({ uuid }) => [element("uuidGenerate", [element("uuid", uuid)])],
});
