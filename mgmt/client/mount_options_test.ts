import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { readMountWords } from "mgmt/client/mount_options.ts";

Deno.test("mount options: GlusterFS's spellings reach the mount, words of mount(8) too", () => {
  const words = readMountWords([
    "ro,acl,entry_timeout=0.5",
    "direct-io-mode=disable,nosuid,_netdev",
  ]);
  deepEqual([...words.fuse], [
    ["read-only", "on"],
    ["acl", "on"],
    ["entry-timeout", "0.5"],
    ["direct-io-mode", "disable"],
    ["fuse-mountopts", "nosuid,_netdev"],
  ]);
});

Deno.test("mount options: servers, logs and the volume's name are told apart from the mount's", () => {
  const words = readMountWords([
    "backup-volfile-servers=b:[fe80::1]:c,log-level=WARNING,log-file=/l,volume-id=v2,lru-limit=7",
    "oom-score-adj=-5",
    "no-root-squash,xlator-option=*-client-*.ping-timeout=5,subdir-mount=/d,server-port=24008",
  ]);
  deepEqual(words.backups, ["b", "[fe80::1]", "c"]);
  deepEqual([words.logLevel, words.logFile, words.volumeId], ["WARNING", "/l", "v2"]);
  deepEqual([words.subdirectory, words.port], ["/d", "24008"]);
  deepEqual(words.xlatorOptions, ["*-client-*.ping-timeout=5"]);
  equal(words.oomScoreAdj, "-5");
  equal(words.fuse.get("lru-limit"), "7");
  equal(words.fuse.get("client-pid"), "-4");
});

Deno.test("mount options: one without the value that it needs is refused", () => {
  throws(() => readMountWords(["log-file"]), /"log-file": it needs a value/);
  throws(() => readMountWords(["entry-timeout="]), /"entry-timeout": it needs a value/);
});

Deno.test("mount options: what the command sets itself is not taken from words", () => {
  equal(readMountWords(["mountpoint=/etc"]).fuse.has("mountpoint"), false);
});

Deno.test("mount options: root is squashed where the volume says so unless the mount says otherwise", () => {
  const pid = (word: string) => readMountWords([word]).fuse.get("client-pid");
  for (const word of ["no-root-squash", "no-root-squash=yes", "root-squash=off"]) {
    equal(pid(word), "-4", word);
  }
  for (const word of ["no-root-squash=off", "root-squash=on", "root-squash"]) {
    equal(pid(word), undefined, word);
  }
  throws(() => pid("root-squash=perhaps"), /"root-squash": expected on or off, got "perhaps"/);
});

Deno.test("mount options: what GlusterFS's mounts take and ours need not is no reason not to mount", () => {
  const words = readMountWords([
    "fetch-attempts=3,halo-max-latency=10,auto_unmount,capability,transport=tcp",
  ]);
  deepEqual(words.idle, ["fetch-attempts", "halo-max-latency", "auto-unmount", "capability"]);
  equal(readMountWords(["direct-io-mode=auto"]).fuse.has("direct-io-mode"), false);
  equal(words.fuse.size, 0);
});

Deno.test("mount options: switches of the graph are on if they are there, and off if they say so", () => {
  const { worm, gfidAccess, fuse } = readMountWords([
    "worm,aux-gfid-mount=yes,enable-ino32,dump-fuse=/d",
  ]);
  deepEqual([worm, gfidAccess], [true, true]);
  deepEqual([...fuse], [["enable-ino32", "on"], ["dump-fuse", "/d"]]);
  equal(readMountWords(["worm=off"]).worm, false);
  throws(() => readMountWords(["worm=perhaps"]), /"worm": expected on or off/);
});

Deno.test("mount options: what would not be what was asked for is refused by its name", () => {
  const none = readMountWords(["secure-mgmt=off,mac-compat=off,logger=gluster-log"]);
  deepEqual([none.fuse.size, none.idle], [0, []]);
  for (const word of ["transport=rdma", "secure-mgmt", "mac-compat=on", "logger=syslog"]) {
    throws(() => readMountWords([word]), new RegExp(`Cannot use mount option "${word}": `));
  }
});

Deno.test("mount options: commas between quotation marks are a part of a value", () => {
  const { fuse } = readMountWords(['context="u:r:t:s0:c1,c2",nosuid,acl']);
  equal(fuse.get("fuse-mountopts"), 'context="u:r:t:s0:c1,c2",nosuid');
  equal(fuse.get("acl"), "on");
});
