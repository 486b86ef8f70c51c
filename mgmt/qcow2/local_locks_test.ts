import { match, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { LocalLocks } from "mgmt/qcow2/local_locks.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { holdForWriting, writerOf } from "snapshot/qcow2/qemu_locks.ts";
import { firstWriter } from "snapshot/qcow2/volume_locks.ts";
import { inFolder, io, QEMU, run } from "tests/fakes/qemu_images.ts";

Deno.test("mgmt/qcow2: who writes to a file of a volume is named, but for this process", () => {
  const host = "kvm1", id = (host: string) => `CTX_ID:1-PID:12-HOST:${host}-PC_NAME:v-client-0-R:1`;
  const first = (...lines: string[]) =>
    firstWriter(new TextEncoder().encode(`${lines.join("\n")}\0`), { pid: 7, host });
  equal(first(), undefined);
  equal(first(`7 ${id(host)}`, "", "no number", "8 "), undefined);
  equal(first(`7 ${id(host)}`, `7 ${id("kvm2")}`), "process 7 on kvm2");
  equal(first(`8 ${id(host)}`), "process 8 on kvm1");
  equal(first(`0 ${id(host)}`), "the client that is process 12 on kvm1");
  equal(first("7 odd"), "client odd");
});

Deno.test("mgmt/qcow2: an image that is held for writing is opened by no other program", {
  ignore: !QEMU,
}, () =>
  inFolder(async (folder) => {
    await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "vm.qcow2", "1M"]);
    const file = openLocalFile(`${folder}/vm.qcow2`, { writable: true });
    const other = openLocalFile(`${folder}/vm.qcow2`, { writable: true });
    try {
      equal(await writerOf(new LocalLocks(file.fd)), undefined);
      equal(await holdForWriting(new LocalLocks(file.fd), realClock), undefined);
      await rejects(io(folder, "vm.qcow2", ["read 0 512"]), /lock/);
      // In this process, too; and by its own locks nobody is in his own way.
      match(await holdForWriting(new LocalLocks(other.fd), realClock) ?? "", /another program/);
      equal(await writerOf(new LocalLocks(file.fd)), "another program");
    } finally {
      await file.close();
      await other.close();
    }
    await io(folder, "vm.qcow2", ["write -q 0 512"]);
  }));
