import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ENOSPC } from "core/errno.ts";
import { ROOT_GFID } from "core/inode.ts";
import type { Iatt } from "core/iatt.ts";
import { doing } from "mgmt/file/failures.ts";
import { modeText, shownName, statJson, table } from "mgmt/file/listing.ts";
import { Progress, progressLine, sizeText, timeText } from "mgmt/file/progress.ts";

function iatt(mode: number): Iatt {
  return {
    gfid: ROOT_GFID,
    mode,
    nlink: 1,
    uid: 1,
    gid: 2,
    rdev: 0,
    dev: 0,
    size: 5,
    blksize: 4096,
    blocks: 8,
    atime: 0,
    atimeNsec: 0,
    mtime: 1_700_000_000,
    mtimeNsec: 5e8,
    ctime: -1,
    ctimeNsec: 0,
  };
}

Deno.test("mgmt/file: modes look as ls shows them", () => {
  equal(modeText(iatt(0o100644)), "-rw-r--r--");
  equal(modeText(iatt(0o041777)), "drwxrwxrwt");
  equal(modeText(iatt(0o104710)), "-rws--x---");
  equal(modeText(iatt(0o122000)), "l-----S---");
});

Deno.test("mgmt/file: JSON tells times, octal mode and gfid", () => {
  const json = statJson("f", iatt(0o100644));
  deepEqual([json.mode, json.type, json.mtime, json.ctime, json.gfid], [
    "0644",
    "file",
    "2023-11-14T22:13:20.500Z",
    "1969-12-31T23:59:59.000Z",
    ROOT_GFID,
  ]);
});

Deno.test("mgmt/file: names cannot act on a terminal", () => {
  equal(shownName("größe \u{1f701}"), "größe \u{1f701}");
  equal(shownName("a\x1b[2Jb\n\\\udcff"), "a\\x1b[2Jb\\x0a\\\\\\xff");
});

Deno.test("mgmt/file: columns are aligned, the last one without blanks", () => {
  equal(table([["a", "1", "x"], ["bbb", "22", "yy"]], [1]), "a     1  x\nbbb  22  yy\n");
});

Deno.test("mgmt/file: progress shows share, speed and time left", () => {
  equal(sizeText(1023), "1023 B");
  equal(sizeText(1536), "1.5 KiB");
  equal(sizeText(200 << 20), "200 MiB");
  equal(timeText(59.2), "1:00");
  equal(timeText(3661), "1:01:01");
  equal(
    progressLine("f", 1 << 20, 4 << 20, 2),
    "f   25% [######..................]  1.0 MiB  512 KiB/s  0:06 left",
  );
  equal(progressLine("-", 1024, 0, 1), "-  1.0 KiB  1.0 KiB/s");
});

Deno.test("mgmt/file: progress is written ten times a second at most, and taken away", () => {
  let now = 0;
  const written: string[] = [];
  const clock = { monotonic: () => now } as ConstructorParameters<typeof Progress>[0];
  const progress = new Progress(clock, (text) => written.push(text));
  progress.file("f", 100);
  for (now = 0; now < 250; now += 10) progress.add(4);
  progress.end();
  equal(written.length, 4);
  equal(written.at(-1), "\r\x1b[K");
  const quiet = new Progress(clock, undefined);
  quiet.add(1);
  quiet.end();
});

Deno.test("mgmt/file: failures say what, on what and why; mistakes of ours pass as they are", async () => {
  const failure = (error: unknown) =>
    doing("put", "h:v/f", () => Promise.reject(error)).catch((thrown) => String(thrown.message));
  equal(await failure(ENOSPC), "Cannot put h:v/f: no space left on the volume");
  equal(
    await failure(new Deno.errors.NotFound("x (os error 2)")),
    "Cannot put h:v/f: no such file or directory",
  );
  equal(await failure(new TypeError("ours")), "ours");
});
