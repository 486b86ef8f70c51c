/** What storage answers in xdata when it is asked. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { O_APPEND, O_RDWR } from "core/fops.ts";
import { ptr, Xdata, type XKey } from "core/xdata.ts";
import {
  CONTENT,
  CONTENT_LIMIT,
  GET_LINK_COUNT,
  GET_SIZE,
  LIST_XATTR,
  OPEN_ACTIVE_FD_COUNT,
  OPEN_FD_COUNT,
  REQUEST_LINK_COUNT,
  RESPONSE_LINK_COUNT,
  WRITE_IS_APPEND,
} from "core/xdata_keys.ts";
import { type Cases, pattern, Place, text, xattrs } from "tests/conformance/place.ts";

function asking(...keys: readonly XKey<number>[]): Xdata {
  return Xdata.of(keys.map((key) => [key.name, key.write(0)]));
}

export const answers: Cases = {
  async "a fop that asks nothing is answered nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "b" });
    ok(!(await place.lookup("f")).xdata?.has("user.a"));
  },

  async "lookup answers the extended attributes that are named"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "trusted.a": "1", "trusted.b": "2", "user.c": "3" });
    const asked = xattrs({ "trusted.a": "", "user.c": "", "user.none": "" });
    const { xdata } = await place.lookup("f", place.dir, asked);
    deepEqual([...xdata?.names() ?? []].sort(), ["trusted.a", "user.c"]);
    const value = xdata?.raw("trusted.a");
    equal(value?.type === "ptr" && text(value.value), "1");
  },

  async "lookup answers names with a star"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "trusted.ec.size": "1", "trusted.ec.dirty": "2", "user.c": "3" });
    const { xdata } = await place.lookup("f", place.dir, xattrs({ "trusted.ec.*": "" }));
    deepEqual([...xdata?.names() ?? []].sort(), ["trusted.ec.dirty", "trusted.ec.size"]);
  },

  async "stat and fstat answer named attributes"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.setxattr(inode, { "user.a": "1" });
    const xdata = xattrs({ "user.a": "" });
    ok((await place.ask("stat", { inode, xdata })).xdata?.has("user.a"), "stat");
    ok((await place.ask("fstat", { fd, xdata })).xdata?.has("user.a"), "fstat");
    await place.close(fd);
  },

  async "list-xattr answers all but the brick's own"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "1", "trusted.b": "2" });
    const asked = new Xdata(new Map()).with(LIST_XATTR, true);
    const { xdata } = await place.lookup("f", place.dir, asked);
    const found = [...xdata?.names() ?? []];
    ok(found.includes("user.a") && found.includes("trusted.b"), `${found}`);
    ok(!found.some((name) => name.startsWith("trusted.gfid")), `${found}`);
  },

  async "a small file's content comes with the lookup"(subject) {
    const place = await Place.of(subject);
    await place.file("f", "hello");
    const asked = new Xdata(new Map()).with(CONTENT_LIMIT, 4096);
    const { xdata } = await place.lookup("f", place.dir, asked);
    equal(text(xdata!.get(CONTENT)!), "hello");
  },

  async "a larger file's content, and a directory's, does not come"(subject) {
    const place = await Place.of(subject);
    await place.file("f", pattern(5000));
    await place.mkdir("d");
    const asked = new Xdata(new Map()).with(CONTENT_LIMIT, 4096);
    ok(!(await place.lookup("f", place.dir, asked)).xdata?.has(CONTENT));
    ok(!(await place.lookup("d", place.dir, asked)).xdata?.has(CONTENT));
  },

  async "open files are counted, those that can write apart"(subject) {
    const place = await Place.of(subject);
    const { fd: writer, inode } = await place.create("f");
    const reader = await place.open(inode, 0);
    const count = async () => {
      const { xdata } = await place.lookup("f", place.dir, asking(OPEN_FD_COUNT));
      return xdata?.get(OPEN_FD_COUNT);
    };
    equal(await count(), 2);
    const active = await place.lookup("f", place.dir, asking(OPEN_ACTIVE_FD_COUNT));
    const answered = active.xdata?.get(OPEN_ACTIVE_FD_COUNT);
    ok(answered === 1 || answered === 2, `${answered} active`);
    const written = await place.write(writer, 0, "x", asking(OPEN_FD_COUNT));
    equal(written.xdata?.get(OPEN_FD_COUNT), 2);
    await place.close(reader);
    equal(await count(), 1);
    await place.close(writer);
    equal(await count(), 0);
  },

  async "a write says whether it appended"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    const appended = async (offset: number, on = fd) =>
      (await place.write(on, offset, "12345", asking(WRITE_IS_APPEND))).xdata?.get(WRITE_IS_APPEND);
    equal(await appended(0), 1);
    equal(await appended(5), 1);
    equal(await appended(2), 0);
    equal(await appended(100), 0);
    const appending = await place.open(inode, O_RDWR | O_APPEND);
    equal(await appended(0, appending), 1);
    await place.close(fd, appending);
  },

  async "unlink says how many names are left"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.ask("link", { inode, parent: place.dir, name: "g" });
    const first = await place.unlink("f", place.dir, asking(GET_LINK_COUNT));
    equal(first.xdata?.get(GET_LINK_COUNT), 1);
    const last = await place.unlink("g", place.dir, asking(GET_LINK_COUNT));
    equal(last.xdata?.get(GET_LINK_COUNT), 0);
  },

  async "unlink says how many names there were"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.ask("link", { inode, parent: place.dir, name: "g" });
    const asked = new Xdata(new Map()).with(REQUEST_LINK_COUNT, true);
    equal((await place.unlink("f", place.dir, asked)).xdata?.get(RESPONSE_LINK_COUNT), 2);
  },

  async "list-xattr answers to readdirp too"(subject) {
    const place = await Place.of(subject);
    await place.setxattr(await place.file("f"), { "user.a": "1" });
    const { fd } = await place.ask("opendir", { inode: place.dir });
    const xdata = new Xdata(new Map()).with(LIST_XATTR, true);
    const { entries } = await place.ask("readdirp", { fd, offset: 0n, size: 4096, xdata });
    ok(entries.find(({ name }) => name === "f")?.xdata?.has("user.a"));
    await place.ask("releasedir", { fd });
  },

  async "the size comes when it is asked for"(subject) {
    const place = await Place.of(subject);
    await place.file("f", "hello");
    const { xdata } = await place.lookup("f", place.dir, asking(GET_SIZE));
    const size = xdata?.get(GET_SIZE);
    ok(size === undefined || size === 5, `${size}`);
  },

  async "keys that nobody knows are not answered and do no harm"(subject) {
    const place = await Place.of(subject);
    await place.file("f", "x");
    const asked = Xdata.of([
      ["nobody.knows", ptr(new Uint8Array(3))],
      ["glusterfs.content", { type: "str", value: "not a number" }],
      ["gfid-req", { type: "str", value: "not a gfid" }],
      ["trusted.*.*", ptr(new Uint8Array(1))],
      ["", ptr(new Uint8Array(0))],
    ]);
    ok(!(await place.lookup("f", place.dir, asked)).xdata?.has("nobody.knows"));
  },
};
