import { strictEqual as equal } from "node:assert/strict";
import { Ports } from "mgmt/bricks/ports.ts";

Deno.test("bricks/ports: two never get the same, and what is given back is had again", () => {
  const ports = new Ports({ base: 10, max: 12 }, (port) => port !== 11);
  equal(ports.take(), 10);
  equal(ports.take(10), 12);
  equal(ports.take(), undefined);
  ports.give(10);
  equal(ports.take(10), 10);
});

Deno.test("bricks/ports: one that somebody listens on, on whichever address, is passed over", () => {
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    using listener = Deno.listen({ hostname, port: 0 });
    const { port } = listener.addr;
    equal(new Ports({ base: port, max: port }).take(port), undefined);
  }
});
