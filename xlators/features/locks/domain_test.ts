import { ok, strictEqual as equal } from "node:assert/strict";
import type { Client, LkOwner } from "core/call.ts";
import { Domain, type DomainLock } from "xlators/features/locks/domain.ts";
import { sameHolder } from "xlators/features/locks/holder.ts";
import { overlaps, type Range } from "core/lib/ranges.ts";
import { testClient } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";

interface Lock extends DomainLock {
  readonly range: Range;
  readonly write: boolean;
}

const conflict = (a: Lock, b: Lock) => (a.write || b.write) && overlaps(a.range, b.range);
const rules = { conflict, contended: () => {}, paused: () => false, now: () => 0 };

/** No two holders have what conflicts, and nobody waits who could be granted. */
function check(domain: Domain<Lock>, at: string): void {
  const { granted, waiting } = domain;
  for (const a of granted) {
    for (const b of granted) ok(sameHolder(a, b) || !conflict(a, b), `conflict granted: ${at}`);
  }
  waiting.forEach((lock, index) => {
    const blocked = granted.some((held) => conflict(held, lock) && !sameHolder(held, lock)) ||
      waiting.slice(0, index).some((earlier) => conflict(earlier, lock));
    ok(blocked, `waits for nothing: ${at}`);
  });
}

for (const seed of [4, 50, 600]) {
  Deno.test(`features/locks: queues of a domain never wedge and never conflict, seed ${seed}`, async () => {
    const random = seeded(seed);
    const domain = new Domain<Lock>(rules);
    let clients: Client[] = Array.from({ length: 4 }, () => testClient());
    const answers: Promise<unknown>[] = [];
    for (let step = 0; step < 3000; step++) {
      const client = clients[random(clients.length)]!;
      const owner = `0${1 + random(2)}` as LkOwner;
      const action = random(10);
      if (action < 5) {
        const start = BigInt(random(10));
        const lock: Lock = {
          client,
          owner,
          pid: 1,
          range: { start, end: start + BigInt(random(6)) },
          write: random(2) === 0,
        };
        answers.push(domain.lock(lock, random(3) > 0).catch(() => {}));
      } else if (action < 9) {
        const held = domain.granted[random(Math.max(1, domain.granted.length))];
        if (held) ok(domain.unlock((lock) => lock === held));
      } else if (random(4) === 0) {
        domain.drop(client);
        ok(![...domain.granted, ...domain.waiting].some((lock) => lock.client === client));
        clients = clients.map((each) => each === client ? testClient() : each);
      }
      check(domain, `seed ${seed} step ${step}`);
    }
    for (const client of clients) domain.drop(client);
    equal(domain.count, 0);
    // Every request was answered: none is lost in a queue.
    await Promise.all(answers);
  });
}

Deno.test("features/locks: among thousands that wait, one that unlocks costs a look at each", async () => {
  const domain = new Domain<Lock>(rules);
  const holder = testClient(), waiter = testClient();
  const whole = { start: 0n, end: 99n }, part = { start: 50n, end: 59n };
  let looks = 0;
  const lock = (client: Client, number: number, range: Range, write = false): Lock => ({
    client,
    get owner() {
      looks++;
      return `${number}` as LkOwner;
    },
    pid: 1,
    range,
    write,
  });
  const leaving = lock(holder, 1, part);
  await Promise.all([lock(holder, 1, whole), leaving].map((each) => domain.lock(each, true)));
  const count = 2000, answers = [domain.lock(lock(waiter, 2, whole, true), true)];
  looks = 0;
  // Readers behind a writer: nobody holds what they want, and they must not pass.
  for (let i = 3; i < count; i++) answers.push(domain.lock(lock(waiter, i, whole), true));
  ok(looks < 20 * count, `${looks} looks while they came`);
  looks = 0;
  ok(domain.unlock((each) => each === leaving));
  ok(looks < 20 * count, `${looks} looks for one unlock`);
  equal(domain.waiting.length, count - 2);
  domain.drop(holder);
  domain.drop(waiter);
  await Promise.allSettled(answers);
});
