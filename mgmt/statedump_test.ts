import { match, strictEqual as equal } from "node:assert/strict";
import { dumpState, dumpTime, stateSection } from "mgmt/statedump.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

Deno.test("mgmt/statedump: a dump is one new file of its owner's, and ends with its end", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const log = new LinesLog();
    const env = testEnv({ log });
    const state = { list: [1, { x: true }], none: null, text: "two\n[forged]\nDUMP-END-TIME: now" };
    for (let i = 0; i < 2; i++) dumpState(env, dir, "name", [stateSection("type.layer", state)]);
    const files = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    equal(files.length, 2);
    for (const file of files) match(file, new RegExp(`^name\\.${Deno.pid}\\.dump\\.\\d+$`));
    equal((await Deno.stat(`${dir}/${files[0]}`)).mode! & 0o777, 0o600);
    const text = await Deno.readTextFile(`${dir}/${files[0]}`);
    match(text, /^DUMP-START-TIME: [-: .\d]+ \+0000\n\n\[mortar\]\n/);
    match(
      text,
      /\n\[type\.layer\]\nlist\[0\]=1\nlist\[1\]\.x=true\ntext=two\?\[forged\]\?DUMP-END-TIME: now\n\nDUMP-END-TIME: [-: .\d]+ \+0000\n$/,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("mgmt/statedump: times are told in microseconds of UTC", () => {
  equal(dumpTime(Date.UTC(2030, 0, 2, 3, 4, 5, 6) + 0.007), "2030-01-02 03:04:05.006007 +0000");
});
