import { strictEqual as equal } from "node:assert/strict";
import { turns } from "core/sys/turns.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { InPlace } from "xlators/storage/posix/in_place.ts";

/** A disk that needs `ms` for a read. */
class Scene {
  readonly clock = new FakeClock();
  readonly inPlace = new InPlace(this.clock);
  ms = 0.2;

  constructor() {
    turns.held = false;
    turns.crowded = 0;
  }

  /** Reads so much; whether in place. */
  reads(size = 4096): boolean {
    let here = false;
    this.inPlace.disk(size, () => {
      here = true;
      this.clock.advance(this.ms);
      return size;
    }, () => Promise.resolve(size));
    return here;
  }

  /** Reads in place; then the loop waits, and finds that others had come or not. */
  readHere(others = false): void {
    equal(this.reads(), true);
    equal(this.reads(), false, "twice between two waits");
    turns.held = false;
    turns.crowded = others ? turns.crowded + 1 : 0;
  }
}

Deno.test("storage/posix: a quick disk is read in place while nobody else comes", () => {
  const scene = new Scene();
  // Now and then something comes by chance.
  for (let i = 0; i < 100; i++) scene.readHere(i % 2 === 0);
  equal(scene.reads((1 << 20) + 1), false);
  equal(scene.reads(1 << 20), true);
});

Deno.test("storage/posix: while others wait the disk is read by other threads, a hundred times as long", () => {
  const scene = new Scene();
  for (let i = 0; i < 50; i++) scene.readHere();
  for (let i = 0; i < 3; i++) {
    scene.readHere(true);
    scene.readHere(true);
    equal(scene.reads(), false);
    scene.clock.advance(19);
    equal(scene.reads(), false);
    scene.clock.advance(1);
  }
  scene.readHere();
});

Deno.test("storage/posix: a slow disk is read by other threads, and looked at once a second", () => {
  const scene = new Scene();
  for (let i = 0; i < 50; i++) scene.readHere();
  // One that waited for a processor, perhaps.
  scene.ms = 12;
  scene.readHere();
  scene.readHere();
  for (let i = 0; i < 3; i++) {
    equal(scene.reads(), false);
    scene.clock.advance(999);
    equal(scene.reads(), false);
    scene.clock.advance(1);
    scene.readHere();
  }
  // It becomes quick again.
  scene.ms = 0.2;
  let looks = 0;
  for (let quick = false; !quick && looks < 30; looks++) {
    scene.clock.advance(1000);
    scene.readHere();
    quick = scene.reads();
    turns.held = false;
  }
  equal(looks > 1 && looks < 30, true);
});
