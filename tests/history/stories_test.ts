import { ok } from "node:assert/strict";
import { exists } from "core/lib/files.ts";
import { Story } from "tests/history/story.ts";

const LONG = Deno.env.has("MORTAR_LONG");
const SEEDS = Number(Deno.env.get("MORTAR_STORIES") ?? 2000), STEPS = LONG ? 40 : 16;

/** Memory, if there is some and nobody wants another disk: thousands are made. */
function makeRoot(prefix: string): string {
  const dir = "/dev/shm", isFree = !Deno.env.has("TMPDIR");
  return Deno.makeTempDirSync({ prefix, ...isFree && exists(dir) ? { dir } : {} });
}

Deno.test(`snapshot/engine: ${SEEDS} random stories, every snapshot is what a copy is`, async () => {
  const root = makeRoot("stories-");
  try {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const directory = `${root}/${seed}`;
      await Story.tell(seed, STEPS, directory);
      Deno.removeSync(directory, { recursive: true });
    }
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

const [KILLED_SEEDS, KILLED_STEPS] = LONG ? [40, 30] : [8, 24];

Deno.test(`snapshot/engine: ${KILLED_SEEDS} stories, killed at every call, keep every snapshot`, async () => {
  const root = makeRoot("kills-");
  try {
    let kills = 0;
    for (let seed = 1; seed <= KILLED_SEEDS; seed++) {
      const directory = `${root}/${seed}`;
      const story = await Story.tell(seed, KILLED_STEPS, directory, { kills: true });
      kills += story.killPoints;
      Deno.removeSync(directory, { recursive: true });
    }
    // Some for each step: else nobody would notice that nothing was looked at.
    ok(kills > KILLED_SEEDS * KILLED_STEPS, `only ${kills} kills`);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
