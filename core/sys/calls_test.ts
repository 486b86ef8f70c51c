import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { EBADF, EEXIST, EINVAL, ENOENT, ENOTDIR } from "core/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  cstring,
  eitherCalls,
  libcCalls,
  STATX_BASIC_STATS,
  stubCalls,
  type Sys,
} from "core/sys/calls.ts";
import { O_CREAT, O_EXCL, O_RDWR } from "core/fops.ts";

const ROUNDS = 10_000;

function tempDir(): string {
  return Deno.makeTempDirSync({ prefix: "sys-test-" });
}

for (const [kind, open] of [["stubs", stubCalls], ["libc", libcCalls]] as const) {
  const where = `core/sys (${kind})`;

  Deno.test(`${where}: 10,000 failing calls answer their own error numbers`, () => {
    const sys = open();
    const none = cstring("/nonexistent/file"), odd = cstring("/dev/null/x");
    for (let i = 0; i < ROUNDS; i++) {
      const [answer, expected] = i % 3 === 0
        ? [sys.openat(AT_FDCWD, none, 0, 0), ENOENT]
        : i % 3 === 1
        ? [sys.openat(AT_FDCWD, odd, 0, 0), ENOTDIR]
        : [sys.close(-1), EBADF];
      if (answer !== -expected.errno) strictEqual(answer, -expected.errno, `round ${i}`);
    }
  });

  Deno.test(`${where}: 10,000 failing calls in the pool answer their own error numbers`, async () => {
    const sys = open();
    const none = cstring("/nonexistent/file"), odd = cstring("/dev/null/x");
    for (let at = 0; at < ROUNDS; at += 100) {
      const answers = await Promise.all(
        Array.from(
          { length: 100 },
          (_, i) =>
            i % 3 === 0
              ? sys.openatAsync(AT_FDCWD, none, 0, 0)
              : i % 3 === 1
              ? sys.openatAsync(AT_FDCWD, odd, 0, 0)
              : sys.fsyncAsync(-1),
        ),
      );
      answers.forEach((answer, i) => {
        const expected = [ENOENT, ENOTDIR, EBADF][i % 3]!;
        if (answer !== -expected.errno) strictEqual(answer, -expected.errno);
      });
    }
  });

  Deno.test(`${where}: files are made, written, read and described`, async () => {
    const sys = open();
    const dir = tempDir();
    try {
      const path = cstring(`${dir}/f`);
      const flags = O_CREAT | O_EXCL | O_RDWR;
      const fd = sys.openat(AT_FDCWD, path, flags, 0o640);
      ok(fd >= 0, `openat answered ${fd}`);
      strictEqual(sys.openat(AT_FDCWD, path, flags, 0o640), -EEXIST.errno);
      const data = new TextEncoder().encode("hello");
      strictEqual(sys.pwrite(fd, data, 5, 3), 5);
      strictEqual(await sys.pwriteAsync(fd, data, 5, 2 ** 33), 5);
      const read = new Uint8Array(5);
      strictEqual(await sys.preadAsync(fd, read, 5, 2 ** 33), 5);
      deepStrictEqual(read, data);
      strictEqual(sys.lseek(fd, 0, 2), BigInt(2 ** 33 + 5));
      strictEqual(sys.lseek(fd, -5, 0), BigInt(-EINVAL.errno));
      const stat = new Uint8Array(256);
      strictEqual(sys.statx(fd, cstring(""), AT_EMPTY_PATH, STATX_BASIC_STATS, stat), 0);
      const view = new DataView(stat.buffer);
      strictEqual(view.getUint16(28, true) & 0o7777, 0o640);
      strictEqual(Number(view.getBigUint64(40, true)), 2 ** 33 + 5);
      strictEqual(await sys.ftruncateAsync(fd, 0), 0);
      strictEqual(sys.close(fd), 0);
      strictEqual(sys.getpid(), Deno.pid);
      strictEqual(sys.getgid(), Deno.gid());
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });

  Deno.test(`${where}: calls with six arguments pass all of them`, () => {
    const sys = open();
    const PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 32;
    const at = sys.mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ok(at > 0n, `mmap answered ${at}`);
    strictEqual(sys.munmap(at, 4096), 0);
    // The fifth is an fd that is not open; the sixth an offset within a page.
    strictEqual(sys.mmap(0, 4096, PROT_READ, MAP_PRIVATE, -1, 0), BigInt(-EBADF.errno));
    const odd = sys.mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1);
    strictEqual(odd, BigInt(-EINVAL.errno));
  });
}

Deno.test("core/sys: where stubs cannot be had, libc is used", () => {
  const sys: Sys = eitherCalls(() => {
    throw new Error("no memory file");
  }, libcCalls);
  strictEqual(sys.close(-1), -EBADF.errno);
});
