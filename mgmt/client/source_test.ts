import { rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { servedSource } from "mgmt/client/source.ts";
import { ManagementLink } from "mgmt/management_link.ts";
import { VolfileServer } from "mgmt/volfile_server.ts";
import { Volfiles } from "mgmt/volfiles.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";

Deno.test("mount's source: a server that takes connections and does not answer is given up for the next", async () => {
  // The kernel connects; nobody ever reads what is asked.
  const mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const hung = { kind: "tcp", host: "127.0.0.1", port: mute.addr.port } as const;
  const volfiles = new Volfiles(undefined, (key) => Promise.resolve(`# ${key}\n`));
  const server = new VolfileServer(testEnv(), { volfiles, servers: [], isOwn: () => true });
  const well = server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  const clock = new FakeClock(), env = testEnv({ clock });
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let over = false;
    const end = () => void (over = true);
    promise.then(end, end);
    while (!over) {
      clock.advance(1000);
      await realClock.delay(1);
    }
    return await promise;
  };
  const links = [new ManagementLink(env, hung, well), new ManagementLink(env, hung)] as const;
  try {
    equal(await settled(servedSource(links[0], "/v1", env).read()), "# v1.mortar\n");
    await rejects(
      settled(servedSource(links[1], "v1", env).read()),
      /^CommandError: Cannot mount volume "v1" of 127.0.0.1:\d+: no answer for 20 seconds/,
    );
  } finally {
    for (const link of links) await link.stop();
    await server.stop();
    mute.close();
  }
});
