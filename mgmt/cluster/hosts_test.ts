import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import {
  addressesOf,
  bindsToHost,
  checkBrickHost,
  isOwnAddress,
  isOwnHost,
} from "mgmt/cluster/hosts.ts";

Deno.test("cluster/hosts: loopback and the machine's addresses are our own, others are not", async () => {
  equal(isOwnAddress("127.0.0.1"), true);
  equal(isOwnAddress("::ffff:127.0.0.5"), true);
  equal(isOwnAddress("192.0.2.1"), false);
  equal(await isOwnHost("localhost"), true);
  equal(await isOwnHost("192.0.2.1"), false);
  deepEqual(await addressesOf("no-such-host.invalid"), []);
});

Deno.test("cluster/hosts: a brick elsewhere, or of a name nobody knows, is refused", async () => {
  const check = (host: string) => checkBrickHost({ host, path: "/b" }, ["0.0.0.0"]);
  await check("127.0.0.1");
  await rejects(
    check("192.0.2.1"),
    /is not in 'Peer in Cluster' state: its address 192.0.2.1 is none/,
  );
  await rejects(check("no-such-host.invalid"), /its name is not known here/);
});

Deno.test("cluster/hosts: while the daemon listens on loopback no brick is open to strangers", async () => {
  const other = Deno.networkInterfaces().find(({ address, family }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  if (!other) return;
  const brick = { host: other.address, path: "/b" };
  await rejects(checkBrickHost(brick, ["127.0.0.1"]), /start it with --listen/);
  await checkBrickHost(brick, ["127.0.0.1", other.address]);
  equal(bindsToHost(["127.0.0.1", other.address]), true);
  equal(bindsToHost(["0.0.0.0"]), false);
});
