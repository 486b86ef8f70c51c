import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { AT_FDCWD, cstring, LOCAL_O_DIRECTORY, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { XattrSpace } from "xlators/storage/posix/xattr_space.ts";

const ENODATA = -61, ENOENT = -2;

// By name in a directory where the kernel can, and by a path, which all kernels can.
for (const named of [true, false]) {
  Deno.test(`xattr space: values and names are found ${named ? "by name" : "by path"}, small and large`, async () => {
    const path = await Deno.makeTempDir();
    const fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
    try {
      const space = named ? new XattrSpace(false, path) : new XattrSpace(false, path, false);
      await Deno.writeTextFile(`${path}/file`, "");
      const file = { fd, name: cstring("file") };
      const large = new Uint8Array(1500).fill(7), many: string[] = [];
      equal(space.set(file, "user.large", large), 0);
      for (let i = 0; i < 20; i++) {
        many.push(`user.${String(i).padStart(60, "0")}`);
        equal(space.set(file, many[i]!, new Uint8Array([i])), 0);
      }
      deepEqual(space.get(file, many[9]!), new Uint8Array([9]));
      deepEqual(space.get(file, "user.large"), large);
      deepEqual(space.get(file, many[8]!), new Uint8Array([8]));
      deepEqual(space.list(file).filter((name) => name.startsWith("user.")).sort(), [
        ...many,
        "user.large",
      ]);
      equal(space.read(file, "user.none"), ENODATA);
      equal(space.read({ fd, name: cstring("none") }, "user.none"), ENOENT);
      equal(space.remove(file, "user.large"), 0);
      equal(space.read(file, "user.large"), ENODATA);
    } finally {
      sys.close(fd);
      await Deno.remove(path, { recursive: true });
    }
  });

  Deno.test(`xattr space: a symbolic link is not followed ${named ? "by name" : "by path"}`, async () => {
    const path = await Deno.makeTempDir();
    const fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
    try {
      const space = named ? new XattrSpace(false, path) : new XattrSpace(false, path, false);
      await Deno.writeTextFile(`${path}/file`, "");
      await Deno.symlink("file", `${path}/link`);
      equal(space.set({ fd, name: cstring("file") }, "user.a", new Uint8Array(1)), 0);
      equal(space.read({ fd, name: cstring("link") }, "user.a"), ENODATA);
    } finally {
      sys.close(fd);
      await Deno.remove(path, { recursive: true });
    }
  });
}
