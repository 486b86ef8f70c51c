import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { Portmap } from "mgmt/portmap.ts";

const [a, b] = [{}, {}];

Deno.test("mgmt/portmap: a brick is found by name and by port until it signs out", () => {
  const map = new Portmap();
  map.signIn({ brick: "/b1", port: 49152, pid: 7 }, a);
  equal(map.portOf("/b1"), 49152);
  equal(map.brickAt(49152), "/b1");
  equal(map.signOut("/b1", 49152, a), true);
  equal(map.portOf("/b1"), undefined);
  equal(map.brickAt(49152), undefined);
});

Deno.test("mgmt/portmap: a connection that ends takes its own bricks along and no others", () => {
  const map = new Portmap();
  map.signIn({ brick: "/b1", port: 1, pid: 7 }, a);
  map.signIn({ brick: "/b2", port: 2, pid: 8 }, b);
  deepEqual(map.gone(a), ["/b1"]);
  deepEqual(map.entries, [{ brick: "/b2", port: 2, pid: 8 }]);
});

Deno.test("mgmt/portmap: nobody signs out another connection's brick", () => {
  const map = new Portmap();
  map.signIn({ brick: "/b1", port: 1, pid: 7 }, a);
  equal(map.signOut("/b1", 1, b), false);
  equal(map.signOut("/b1", 2, a), false);
  equal(map.portOf("/b1"), 1);
});

Deno.test("mgmt/portmap: a brick that came back keeps its entry when its old connection ends", () => {
  const map = new Portmap();
  map.signIn({ brick: "/b1", port: 1, pid: 7 }, a);
  map.signIn({ brick: "/b1", port: 2, pid: 9 }, b);
  deepEqual(map.gone(a), []);
  equal(map.portOf("/b1"), 2);
});
