// libvirt finds volumes of our management daemon by GlusterFS's command line, and uses one as a
// storage pool through libgfapi.

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { Island, ISLAND_DIR, ISLAND_HOST } from "tests/e2e/island.ts";
import { exists, until } from "tests/e2e/process.ts";

const BACKEND =
  "/usr/lib/x86_64-linux-gnu/libvirt/storage-backend/libvirt_storage_backend_gluster.so";
/** Its package makes the user without whom libvirtd does not start. */
const SYSTEM = "/usr/share/doc/libvirt-daemon-system";
const PROGRAMS = ["gluster", "libvirtd", "virsh", "qemu-img", "unshare", BACKEND, SYSTEM];

const VOLUME = "v1";

// Nobody but its own clients, and nothing of the machine's configuration.
const CONFIG = `
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:${ISLAND_DIR}/libvirtd.log"
`;

class Libvirt {
  private constructor(readonly island: Island) {}

  static async start(island: Island): Promise<Libvirt> {
    const config = `${ISLAND_DIR}/libvirtd.conf`;
    await Deno.writeTextFile(island.path(config), CONFIG);
    await island.must(["libvirtd", "-d", "-f", config, "-p", `${ISLAND_DIR}/libvirtd.pid`]);
    const libvirt = new Libvirt(island);
    await until("libvirtd answers", async () => (await libvirt.run("pool-list")).code === 0);
    return libvirt;
  }

  run(...words: string[]) {
    return this.island.run(["virsh", "-c", "storage:///system", ...words]);
  }

  must(...words: string[]): Promise<string> {
    return this.island.must(["virsh", "-c", "storage:///system", ...words]);
  }

  /** Names of the files in a pool. */
  async files(pool: string): Promise<string[]> {
    const table = await this.must("vol-list", pool);
    return table.split("\n").slice(2).map((row) => row.trim().split(/\s+/)[0]!).filter(Boolean);
  }
}

async function started(): Promise<Island> {
  const island = await Island.create();
  await island.startMortar();
  const gluster = ["gluster", "--mode=script", "volume"];
  const brick = `${ISLAND_HOST}:${ISLAND_DIR}/bricks/${VOLUME}`;
  await island.must([...gluster, "create", VOLUME, brick]);
  await island.must([...gluster, "start", VOLUME]);
  return island;
}

e2e("libvirt: finds our volume, and lists, tells of and deletes its images", PROGRAMS, async () => {
  await using island = await started();
  const libvirt = await Libvirt.start(island);
  const found = await libvirt.must("find-storage-pool-sources-as", "gluster", ISLAND_HOST);
  match(found, /<host name='10\.77\.9\.1'\/>\s*<dir path='\/'\/>\s*<name>v1<\/name>/);

  const { data } = await putImages(island);
  await libvirt.must(
    ...["pool-define-as", "disks", "gluster"],
    ...["--source-host", ISLAND_HOST, "--source-name", VOLUME, "--source-path", "/"],
  );
  await libvirt.must("pool-start", "disks");
  match(await libvirt.must("pool-info", "disks"), /State:\s+running/);
  deepEqual(await libvirt.files("disks"), ["a.qcow2", "b.raw"]);
  const told = await libvirt.must("vol-dumpxml", "a.qcow2", "disks");
  match(told, /<format type='qcow2'\/>/);
  match(told, /<capacity unit='bytes'>67108864<\/capacity>/);
  match(await libvirt.must("vol-dumpxml", "b.raw", "disks"), /<capacity unit='bytes'>65536</);

  // libvirt 9 itself can neither make nor fill images in pools of this type: others do.
  const made = await libvirt.run("vol-create-as", "disks", "c.raw", "1M");
  match(made.err, /storage pool does not support volume creation/);
  const filled = await libvirt.run("vol-upload", "b.raw", "/etc/hostname", "--pool", "disks");
  match(filled.err, /storage pool doesn't support volume upload/);

  await libvirt.must("vol-delete", "a.qcow2", "--pool", "disks");
  deepEqual(await libvirt.files("disks"), ["b.raw"]);
  const brick = island.path(`${ISLAND_DIR}/bricks/${VOLUME}`);
  equal(exists(`${brick}/a.qcow2`), false);
  deepEqual(await Deno.readFile(`${brick}/b.raw`), data);
  await libvirt.must("pool-destroy", "disks");
  await libvirt.must("pool-undefine", "disks");
});

async function putImages(island: Island): Promise<{ data: Uint8Array }> {
  const data = crypto.getRandomValues(new Uint8Array(65536));
  await Deno.writeFile(island.path(`${ISLAND_DIR}/b.raw`), data);
  await island.must(["qemu-img", "create", "-f", "qcow2", `${ISLAND_DIR}/a.qcow2`, "64M"]);
  for (const name of ["a.qcow2", "b.raw"]) {
    await island.mortar("file", "put", `${ISLAND_DIR}/${name}`, `${ISLAND_HOST}:${VOLUME}/${name}`);
  }
  return { data };
}
