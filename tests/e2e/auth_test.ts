/** Who may mount: real clients against auth.allow, auth.reject and logins. */

import { assertEquals } from "@std/assert";
import { Cluster, type ClusterOptions, e2e } from "tests/e2e/harness.ts";

const ALLOWED = { sourceAddress: "127.0.0.9" }, OTHER = { sourceAddress: "127.0.0.8" };
const LOGIN = { user: "somebody", password: "secret" };

const CASES: readonly {
  readonly what: string;
  readonly brick: NonNullable<ClusterOptions["brick"]>;
  readonly clients: readonly (readonly [NonNullable<ClusterOptions["client"]>, boolean])[];
}[] = [
  {
    what: "auth.allow lets in whom it names and nobody else",
    brick: { allow: "127.0.0.9" },
    clients: [[ALLOWED, true], [OTHER, false]],
  },
  {
    what: "auth.allow takes lists and patterns",
    brick: { allow: "10.0.0.1,127.0.0.9,192.168.*.*" },
    clients: [[ALLOWED, true], [OTHER, false]],
  },
  {
    what: "auth.reject keeps out whom it names, though all are allowed",
    brick: { allow: "*", reject: "127.0.0.8" },
    clients: [[ALLOWED, true], [OTHER, false]],
  },
  {
    what: "a login lets in who knows the password",
    brick: { login: LOGIN },
    clients: [
      [{ login: LOGIN }, true],
      [{ login: { ...LOGIN, password: "wrong" } }, false],
      [{ login: { ...LOGIN, user: "nobody" } }, false],
      [{}, false],
    ],
  },
];

for (const { what, brick, clients } of CASES) {
  e2e(`auth: ${what}`, [], async () => {
    await using cluster = await Cluster.start({ layout: "one", brick });
    const came = await Promise.all(clients.map(async ([client]) => {
      await using mount = await cluster.mountVolfile(client);
      return mount !== undefined;
    }));
    assertEquals(came, clients.map(([, expected]) => expected));
  });
}
