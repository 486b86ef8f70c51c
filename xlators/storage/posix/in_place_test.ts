import { strictEqual as equal } from "node:assert/strict";
import { sys } from "core/sys/calls.ts";
import { turns } from "core/sys/turns.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { calling } from "tests/fakes/calling.ts";
import { InPlace } from "xlators/storage/posix/in_place.ts";

const BUFFER = new Uint8Array(4096);

/** A disk that needs `ms` for a read. */
class Scene {
  readonly clock = new FakeClock();
  readonly inPlace = new InPlace(this.clock);
  ms = 0.2;

  constructor() {
    turns.held = false;
    turns.crowded = 0;
  }

  get mayRead(): boolean {
    return this.inPlace.mayRead(4096);
  }

  /** Reads; then the loop waits, and finds that others had come or not. */
  read(others = false): void {
    const pread = (() => {
      this.clock.advance(this.ms);
      return 4096;
    }) as typeof sys.pread;
    using _ = calling({ pread });
    equal(this.inPlace.read(-1, BUFFER, 0), 4096);
    equal(this.mayRead, false, "twice between two waits");
    turns.held = false;
    turns.crowded = others ? turns.crowded + 1 : 0;
  }
}

Deno.test("storage/posix: a quick disk is read in place while nobody else comes", () => {
  const scene = new Scene();
  for (let i = 0; i < 100; i++) {
    equal(scene.mayRead, true);
    // Now and then something comes by chance.
    scene.read(i % 2 === 0);
  }
  equal(scene.inPlace.mayRead(1 << 20), true);
  equal(scene.inPlace.mayRead((1 << 20) + 1), false);
});

Deno.test("storage/posix: while others wait the disk is read by other threads, a hundred times as long", () => {
  const scene = new Scene();
  for (let i = 0; i < 50; i++) scene.read();
  for (let i = 0; i < 3; i++) {
    equal(scene.mayRead, true);
    scene.read(true);
    equal(scene.mayRead, true);
    scene.read(true);
    equal(scene.mayRead, false);
    scene.clock.advance(19);
    equal(scene.mayRead, false);
    scene.clock.advance(1);
  }
  equal(scene.mayRead, true);
});

Deno.test("storage/posix: a slow disk is read by other threads, and looked at once a second", () => {
  const scene = new Scene();
  for (let i = 0; i < 50; i++) scene.read();
  // One that waited for a processor, perhaps.
  scene.ms = 12;
  scene.read();
  equal(scene.mayRead, true);
  scene.read();
  for (let i = 0; i < 3; i++) {
    equal(scene.mayRead, false);
    scene.clock.advance(999);
    equal(scene.mayRead, false);
    scene.clock.advance(1);
    equal(scene.mayRead, true);
    scene.read();
  }
  // It becomes quick again.
  scene.ms = 0.2;
  let looks = 0;
  for (; !scene.mayRead; looks++) {
    scene.clock.advance(1000);
    scene.read();
  }
  equal(looks > 0 && looks < 30, true);
});
