import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { DescriptorLoop } from "core/sys/descriptor_loop.ts";
import { DirectSocket } from "rpc/direct_socket.ts";
import { TakenIn } from "rpc/transport.ts";
import { LinesLog } from "tests/fakes/node.ts";

Deno.test("rpc: connections taken in on a unix socket are read and written directly, each its own", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "taken-in-" }), path = `${directory}/socket`;
  const descriptors = new DescriptorLoop({ clock: realClock, log: new LinesLog() });
  await descriptors.started;
  const taken = new TakenIn(descriptors);
  const listener = Deno.listen({ transport: "unix", path });
  try {
    for (let round = 0; round < 2; round++) {
      const pairs = [];
      for (const name of [1, 2, 3]) {
        const [near, conn] = await Promise.all([
          Deno.connect({ transport: "unix", path }),
          listener.accept(),
        ]);
        const far = taken.of(conn);
        ok(far instanceof DirectSocket);
        pairs.push({ name, near, far });
      }
      for (const { name, near, far } of pairs) {
        await near.write(new Uint8Array([name]));
        await far.write(new Uint8Array([name + 10]));
      }
      for (const { name, near, far } of pairs) {
        const [here, there] = [new Uint8Array(2), new Uint8Array(2)];
        deepEqual([await near.read(here), await far.read(there)], [1, 1]);
        deepEqual([here[0], there[0]], [name + 10, name]);
      }
      for (const { near, far } of pairs) {
        near.close();
        far.close();
      }
    }
  } finally {
    listener.close();
    await descriptors.close();
    Deno.removeSync(directory, { recursive: true });
  }
});
