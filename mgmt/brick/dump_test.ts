import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { lockEntries } from "mgmt/brick/dump_locks.ts";

const holder = { client: "alpha", owner: "0a", pid: 7 };
const AT = "2030-01-01T00:00:00.000Z", LATER = "2030-01-01T00:00:01.000Z";

Deno.test("mgmt/brick/dump: locks are told in GlusterFS's words, by domain, held before waiting", () => {
  const range = { start: "0", size: "10" };
  const lines = [...lockEntries({
    gfid: "g",
    entrylks: [{
      ...holder,
      domain: "d",
      state: "granted",
      grantedAt: AT,
      type: "write",
      name: "n",
    }],
    inodelks: [
      { ...holder, ...range, domain: "d", state: "granted", grantedAt: AT, type: "write" },
      { ...holder, ...range, domain: "d", state: "blocked", blockedAt: LATER, type: "read" },
      {
        ...holder,
        ...range,
        domain: "e",
        state: "granted",
        blockedAt: AT,
        grantedAt: LATER,
        type: "read",
      },
    ],
    posixlks: [{ ...holder, ...range, state: "granted", since: AT, type: "write" }],
  }, "/dir/f")].map(([key, value]) => `${key}=${value}`);
  const who = "pid = 7, owner=0a, client=alpha, connection-id=alpha";
  const first = "2030-01-01 00:00:00 +0000", then = "2030-01-01 00:00:01 +0000";
  deepEqual(lines, [
    "path=/dir/f",
    "gfid=g",
    "entrylk-count=1",
    "lock-dump.domain.domain=d",
    "xlator.feature.locks.lock-dump.domain.entrylk.entrylk[0](ACTIVE)=" +
    `type=ENTRYLK_WRLCK on basename=n, ${who}, granted at ${first}`,
    "inodelk-count=3",
    "lock-dump.domain.domain=d",
    `inodelk.inodelk[0](ACTIVE)=type=WRITE, whence=0, start=0, len=10, ${who}, granted at ${first}`,
    `inodelk.inodelk[1](BLOCKED)=type=READ, whence=0, start=0, len=10, ${who}, blocked at ${then}`,
    "lock-dump.domain.domain=e",
    `inodelk.inodelk[0](ACTIVE)=type=READ, whence=0, start=0, len=10, ${who}, ` +
    `blocked at ${first}, granted at ${then}`,
    "posixlk-count=1",
    `posixlk.posixlk[0](ACTIVE)=type=WRITE, whence=0, start=0, len=10, ${who}, granted at ${first}`,
  ]);
});
