import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { HOOK_EVENTS, hookArguments, type HookEvent, type HookFacts } from "mgmt/hooks.ts";
import { e2e } from "tests/e2e/harness.ts";
import { GLUSTERD_HOST, inGlusterd } from "tests/e2e/real_glusterd.ts";

const SET: HookFacts = { options: { "user.note": "x y", "nfs.disable": "on" } };

/** What happens to volumes a and b, and what hooks are told of it. */
const STEPS: readonly [event: HookEvent, volume: string, pre: HookFacts, post: HookFacts][] = [
  ["create", "a", {}, {}],
  ["create", "b", {}, {}],
  ["start", "a", { started: 0 }, { started: 1 }],
  ["start", "b", { started: 1 }, { started: 2 }],
  ["set", "a", SET, SET],
  ["reset", "a", {}, {}],
  ["add-brick", "a", {}, {}],
  ["remove-brick", "a", {}, {}],
  ["stop", "a", { started: 2 }, { started: 1 }],
  ["stop", "b", { started: 1 }, { started: 0 }],
  ["delete", "b", {}, {}],
];

e2e("mgmt/hooks: hooks are told what glusterd 10.3 tells them", ["glusterd"], async () => {
  const place = await Deno.makeTempDir({ prefix: "mt-hooks-" });
  try {
    const state = `${place}/state`;
    for (const event of HOOK_EVENTS) {
      for (const phase of ["pre", "post"]) {
        const directory = `${state}/hooks/1/${event}/${phase}`;
        await Deno.mkdir(directory, { recursive: true });
        // One line with lengths, as arguments may have spaces.
        const text = `#!/bin/sh
          { printf %s ${event}/${phase}; printf '|%s' "$@"; echo; } >> ${place}/out.${phase}\n`;
        await Deno.writeTextFile(`${directory}/S1tell`, text, { mode: 0o755 });
      }
    }
    const brick = (name: string) => `${GLUSTERD_HOST}:${place}/${name}`;
    await inGlusterd(
      state,
      `g volume create a ${brick("a1")} force; g volume create b ${brick("b1")} force
       g volume start a; g volume start b
       g volume set a user.note "x y" nfs.disable on; g volume reset a nfs.disable
       g volume add-brick a ${brick("a2")} force; g volume remove-brick a ${brick("a2")} force
       g volume stop a; g volume stop b; g volume delete b
       for try in $(seq 600); do grep -q delete ${place}/out.post && break; sleep 0.1; done`,
    );
    for (const [phase, at] of [["pre", 2], ["post", 3]] as const) {
      const told = (await Deno.readTextFile(`${place}/out.${phase}`)).split("\n").slice(0, -1);
      const expected = STEPS.map((step) => {
        const args = hookArguments(
          { home: "/var/lib/glusterd" },
          step[0],
          phase,
          step[1],
          step[at],
        );
        return [`${step[0]}/${phase}`, ...args].join("|");
      });
      deepEqual(told, expected);
    }
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
