import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { OpenFile } from "core/sys/open_file.ts";

Deno.test("core/sys: an open file is read to its end, also when it lost its name, and closed after that", async () => {
  const path = await Deno.makeTempFile();
  const data = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
  await Deno.writeFile(path, data);
  const file = OpenFile.open(path)!;
  await Deno.remove(path);
  equal(OpenFile.open(path), undefined);
  const some = new Uint8Array(1000);
  equal(await file.read(100, some), 1000);
  deepEqual(some, data.subarray(100, 1100));
  const beyond = new Uint8Array(1000);
  const reading = file.read(299_500, beyond);
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  equal(await reading, 500);
  deepEqual(beyond.subarray(0, 500), data.subarray(299_500));
});
