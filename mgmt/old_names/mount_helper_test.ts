import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { CommandError } from "mgmt/cli/command_error.ts";
import { readMountWords } from "mgmt/client/mount_options.ts";
import { helperWords, typed } from "mgmt/old_names/mount_helper.ts";

Deno.test("mount.mortar: what mount(8) hands on becomes words of the client", () => {
  deepEqual(helperWords(["h:/v", "/mnt", "-o", "rw,acl"]), [
    "client",
    "-o",
    "rw,acl",
    "h:/v",
    "/mnt",
  ]);
  deepEqual(
    helperWords(["h:/v", "-snv", "/mnt", "-t", "fuse.mortar", "-oro"]),
    ["client", "-o", "ro", "h:/v", "/mnt"],
  );
});

Deno.test("mount.mortar: a file in the place of a volume is a volfile", () => {
  deepEqual(helperWords(["/etc/g.vol", "/mnt", "-o", "ro"]), [
    ...["client", "-o", "ro", "--volfile=/etc/g.vol", "/mnt"],
  ]);
  deepEqual(helperWords(["[::1]:/v/d", "/mnt"]), ["client", "[::1]:/v/d", "/mnt"]);
});

Deno.test("mount.mortar: an IPv6 address needs no brackets, and a port is none", () => {
  const source = (given: string) => helperWords([given, "/m"])?.[1];
  equal(source("::1:/v"), "[::1]:/v");
  equal(source("fe80::1%eth0:/v/d"), "[fe80::1%eth0]:/v/d");
  for (const given of ["[2001:db8::1]:/v", "a:24007:/v", "10.0.0.1:/v"]) {
    equal(source(given), given);
  }
});

Deno.test("mount.glusterfs: the mount is shown as GlusterFS's", () => {
  const words = helperWords(typed(["h:/v", "/mnt", "-o", "acl"], "glusterfs"))!;
  deepEqual(words, ["client", "-o", "acl", "-o", "subtype=glusterfs", "h:/v", "/mnt"]);
  equal(readMountWords(["subtype=glusterfs"]).fuse.get("subtype"), "glusterfs");
});

Deno.test("mount.mortar: nothing is mounted where mount(8) only asks, or a word is missing", () => {
  equal(helperWords(["h:/v", "/mnt", "-f"]), undefined);
  throws(() => helperWords(["h:/v"]), CommandError);
  throws(() => helperWords(["h:/v", "/mnt", "/more"]), CommandError);
  throws(() => helperWords(["h:/v", "/mnt", "-o"]), CommandError);
});
