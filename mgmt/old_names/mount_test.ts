import { deepStrictEqual as deepEqual, throws } from "node:assert/strict";
import { OldArguments } from "mgmt/old_names/arguments.ts";
import { mountWords } from "mgmt/old_names/mount.ts";

const words = (...argv: string[]) => mountWords(new OldArguments("glusterfs", argv));

Deno.test("glusterfs: a mount's command line, as mount.glusterfs and test scripts write it", () => {
  deepEqual(
    words(
      ...["--entry-timeout=0", "--attribute-timeout=0", "--acl", "--direct-io-mode=disable"],
      ...["--volfile-id=/v1", "--volfile-server=a", "--volfile-server=fe80::1"],
      ...["--xlator-option=*-client-*.ping-timeout=5", "--process-name", "fuse"],
      ...["--fuse-mountopts=nosuid,noexec", "/mnt/glusterfs/0"],
    ),
    [
      ...["client", "--foreground", "-oentry-timeout=0", "-oattribute-timeout=0"],
      ...["-oacl", "-odirect-io-mode=disable", "-oprocess-name=fuse"],
      "-ofuse-mountopts=nosuid:noexec",
      ...["-obackup-volfile-servers=[fe80::1]", "--xlator-option=*-client-*.ping-timeout=5"],
      ...["--log-file", "/var/log/glusterfs/mnt-glusterfs-0.log", "a:/v1", "/mnt/glusterfs/0"],
    ],
  );
});

Deno.test("glusterfs: what changes how files are seen is handed on, with a value or without", () => {
  const given = ["--worm", "--aux-gfid-mount", "--enable-ino32=on", "--dump-fuse=/d"];
  deepEqual(words("-l/l", "-f", "g.vol", ...given, "/m").slice(2, 6), [
    ...["-oworm", "-oaux-gfid-mount", "-oenable-ino32=on", "-odump-fuse=/d"],
  ]);
  deepEqual(words("-l/l", "-sh", "--volfile-id=v", "--volume-name=x", "/m")[2], "-ovolume-name=x");
  deepEqual(words("-l/l", "-sh", "--volume-name=x", "/m").slice(2), [
    ...["--log-file", "/l", "h:x", "/m"],
  ]);
});

Deno.test("glusterfs: a volfile needs no server, and a port stands behind the host", () => {
  deepEqual(words("-f", "g.vol", "-l", "/l", "/m").slice(2), [
    ...["--log-file", "/l", "--volfile=g.vol", "/m"],
  ]);
  const served = words("-s", "h", "--volfile-server-port=1", "--volfile-id=v", "-l/l", "/m");
  deepEqual(served.slice(-2), ["h:1:v", "/m"]);
});

Deno.test("glusterfs: without a server or a volfile there is nothing to mount", () => {
  throws(() => words("/m"), /give a server/);
});
