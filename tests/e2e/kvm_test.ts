/** What hypervisors do with disks of ours: QEMU boots from volumes, by its gluster driver and by NBD. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { blockLine, BOOT_MS, Guest, GUEST_PROGRAMS, guestDisk, rawDisk } from "tests/e2e/guest.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { exists, must, Process, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const PROGRAMS = ["qemu-img", ...GUEST_PROGRAMS];

/** A node with replicated volumes, and a bootable disk called `master` in the first. */
class Hypervisor implements AsyncDisposable {
  #guests: Guest[] = [];

  private constructor(readonly node: ManagedNode, readonly disk: string) {}

  static async start(...volumes: string[]): Promise<Hypervisor> {
    const node = await ManagedNode.start();
    try {
      for (const name of volumes) await node.volume(name, 2, "replica 2");
      const hypervisor = new Hypervisor(node, await guestDisk(node.dir));
      await hypervisor.file("put", hypervisor.disk, `${NODE_HOST}:${volumes[0]}/master`);
      return hypervisor;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(...words: string[]): Promise<string> {
    return must(this.node.space.inside([MORTAR, "file", ...words]), {
      env: { DENO: Deno.execPath() },
    });
  }

  /** Bytes of a file as they are in a volume. */
  async bytes(volume: string, path: string): Promise<Uint8Array> {
    const to = `${this.node.dir}/got`;
    await this.file("get", `${NODE_HOST}:${volume}/${path}`, to);
    const bytes = await Deno.readFile(to);
    await Deno.remove(to);
    return bytes;
  }

  guest(name: string, disk: Record<string, unknown>, incoming?: string): Guest {
    const { node: { space, dir: directory } } = this;
    const options = { space, directory, name, disk };
    const guest = new Guest(incoming === undefined ? options : { ...options, incoming });
    this.#guests.push(guest);
    return guest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) await guest[Symbol.asyncDispose]();
    await this.node[Symbol.asyncDispose]();
  }
}

function gluster(volume: string, path: string): Record<string, unknown> {
  const server = [{ type: "inet", host: NODE_HOST, port: "24007" }];
  return { driver: "gluster", volume, path, server, cache: { direct: true } };
}

function nbd(socket: string, name: string): Record<string, unknown> {
  const server = { type: "unix", path: socket };
  return { driver: "nbd", server, export: name, cache: { direct: true } };
}

/** A machine as libvirt is told of it, with a disk of a volume. */
function domain(name: string, source: string, said: string): string {
  return `<domain type='qemu'>
  <name>${name}</name>
  <memory unit='MiB'>192</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      ${source}
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='${said}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
`;
}

/** libvirt's driver in a process of its own: no rights to give away, and no daemon for the logs. */
const QEMU_CONF = `user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
`;

function wroteAll(disk: Uint8Array, boot: number, blocks: number): void {
  equal(blockLine(disk, 0), String(boot));
  ok(blocks > 0);
  for (let n = 1; n <= blocks; n++) equal(blockLine(disk, n), `tick ${n} of boot ${boot}`);
}

e2e(
  "kvm: two machines boot from clones of a master at once, and the master stays",
  PROGRAMS,
  async () => {
    await using all = await Hypervisor.start("v");
    const { node } = all;
    await node.must("snapshot create golden v no-timestamp");
    await node.must("snapshot activate golden");
    for (const name of ["one", "two"]) {
      await node.must(
        `snapshot clone --file /${name} golden:/master`,
      );
    }
    await node.must("volume nbd v add two /two");
    const one = all.guest("one", rawDisk(gluster("v", "one")));
    const two = all.guest("two", rawDisk(nbd(`${node.run}/nbd.socket`, "two")));
    deepEqual(await Promise.all([one.boots(), two.boots()]), [1, 1]);
    const blocks = await Promise.all([one.writes(), two.writes()]);
    const written = await Promise.all([one.off(), two.off()]);
    for (const [at, name] of ["one", "two"].entries()) {
      ok(written[at]! >= blocks[at]!);
      wroteAll(await all.bytes("v", name), 1, written[at]!);
    }
    deepEqual(await all.bytes("v", "master"), await Deno.readFile(all.disk));
  },
);

e2e("kvm: libvirt runs machines whose disks are files of volumes, by gluster and by nbd", [
  ...PROGRAMS,
  "virt-qemu-run",
  "/usr/share/doc/libvirt-daemon-system",
], async () => {
  await using all = await Hypervisor.start("v");
  const { node } = all;
  await all.file("put", all.disk, `${NODE_HOST}:v/other`);
  await node.must("volume nbd v add other other");
  const sources = {
    master: `<source protocol='gluster' name='v/master'>
        <host name='${NODE_HOST}' port='24007'/>
      </source>`,
    other: `<source protocol='nbd' name='other'>
        <host transport='unix' socket='${node.run}/nbd.socket'/>
      </source>`,
  };
  // Its sockets' paths are long.
  const root = await Deno.makeTempDir({ prefix: "vq-" });
  let libvirt: Process | undefined;
  try {
    await Deno.mkdir(`${root}/etc`);
    await Deno.writeTextFile(`${root}/etc/qemu.conf`, QEMU_CONF);
    for (const [name, source] of Object.entries(sources)) {
      const said = `${root}/${name}.said`, xml = `${root}/${name}.xml`;
      await Deno.writeTextFile(xml, domain(name, source, said));
      const argv = node.space.inside(["virt-qemu-run", "--root", root, xml]);
      const running = libvirt = new Process(argv, `${root}/${name}.log`);
      await until(`${name} writes`, async () => {
        if (!running.running) throw new Error(running.lastWords());
        const text = await Deno.readTextFile(said).catch(() => "");
        return /GUEST UP 1\r?\n[^]*TICK 2\r?\n/.test(text);
      }, BOOT_MS);
      await running.end("SIGINT");
      const disk = await all.bytes("v", name);
      deepEqual([blockLine(disk, 0), blockLine(disk, 2)], ["1", "tick 2 of boot 1"]);
    }
  } finally {
    await libvirt?.end("SIGINT");
    await Deno.remove(root, { recursive: true });
  }
});

e2e(
  "kvm: a machine goes on over a live snapshot, a move to another volume, and to another process",
  [
    ...PROGRAMS,
  ],
  async () => {
    await using all = await Hypervisor.start("v", "w");
    const { node } = all, { dir } = node;
    const uri = (volume: string, path: string) => `gluster://${NODE_HOST}/${volume}/${path}`;
    const guest = all.guest("first", rawDisk(gluster("v", "master")));
    equal(await guest.boots(), 1);
    await guest.writes();

    await guest.orders(["blockdev-snapshot-sync", {
      ...{ "node-name": "disk", "snapshot-node-name": "overlay", format: "qcow2" },
      "snapshot-file": uri("v", "overlay.qcow2"),
    }]);
    const before = await guest.writes();

    await must(node.space.inside(["qemu-img", "create", "-f", "raw", uri("w", "moved"), "64M"]));
    await guest.until(
      "BLOCK_JOB_READY",
      ["blockdev-add", { ...rawDisk(gluster("w", "moved")), "node-name": "target" }],
      ["blockdev-mirror", { "job-id": "move", device: "overlay", target: "target", sync: "full" }],
    );
    await guest.writes();
    await guest.until("BLOCK_JOB_COMPLETED", ["block-job-complete", { device: "move" }]);
    const moved = await guest.writes();

    const other = all.guest("second", rawDisk(gluster("w", "moved")), `${dir}/migration`);
    await until("the other process waits", () => exists(`${dir}/migration`));
    await guest.until(
      "STOP",
      ["migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] }],
      ["migrate", { uri: `unix:${dir}/migration` }],
    );
    await until("the machine has moved", async () => {
      const { status } = await guest.orders(["query-migrate"]) as { status: string };
      ok(status !== "failed", "migration failed");
      return status === "completed";
    });
    const there = await other.writes();
    ok(moved > before && there > moved, `${before}, ${moved}, ${there}`);
    await guest[Symbol.asyncDispose]();
    const written = await other.off();

    wroteAll(await all.bytes("w", "moved"), 1, written);
    // What came after the snapshot is in the overlay, until it moved away, and not below.
    await must(node.space.inside(["qemu-img", "check", uri("v", "overlay.qcow2")]));
    const base = await all.bytes("v", "master");
    equal(blockLine(base, 0), "1");
    equal(blockLine(base, before), "");
    await must(node.space.inside([
      ...["qemu-img", "convert", "-O", "raw", uri("v", "overlay.qcow2"), `${dir}/overlaid`],
    ]));
    wroteAll(await Deno.readFile(`${dir}/overlaid`), 1, before);
  },
);
