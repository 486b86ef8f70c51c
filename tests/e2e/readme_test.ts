/** README's tour, word for word: what it tells people to type is typed. */

import { match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { must, run } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const README = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
const TOUR = README.slice(README.indexOf("## Five minutes"), README.indexOf("## How it compares"));

/** Blocks of the tour in a language, in order. */
function blocks(language: string): string[] {
  return [...TOUR.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))]
    .map(([, text]) => text!);
}

// A machine of its own: no network, no processes, and no files where volumes and daemons keep theirs.
// What is mounted there, and all that runs, ends with it.
const MACHINE = `set -e
for each in /var/lib /var/log /srv /mnt /run; do mount -t tmpfs none $each; done
ip link set lo up
cd /srv
set -x
`;

e2e(
  "README: the tour of five minutes is what happens",
  ["mkfs.ext4", "qemu-img", "qemu-io", "unshare", "cmp"],
  async () => {
    const words = blocks("sh");
    equal(words.length >= 7, true);
    const apart = [
      "unshare",
      "--mount",
      "--net",
      "--pid",
      "--fork",
      "--mount-proc",
      "--kill-child",
    ];
    const env = { PATH: `${PROGRAM_DIR}:/usr/sbin:/usr/bin:/sbin:/bin`, DENO: Deno.execPath() };
    const { code, out, err } = await run([...apart, "sh", "-c", MACHINE + words.join("")], { env });
    equal(code, 0, `${out}\n${err}`);
    match(out, /^1 range, 65536 bytes of \/images\/vm1\.img changed; /m);
    match(out, /^vm3\.qcow2@monday$/m);
    match(out, /^volume delete: v1: success$/m);
  },
);

e2e("README: libvirt takes the disks as they stand there", ["virsh"], async () => {
  const file = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const disks = blocks("xml");
    equal(disks.length, 2);
    await Deno.writeTextFile(
      file,
      `<domain type='qemu'><name>readme</name><memory>65536</memory>
<os><type arch='x86_64'>hvm</type></os><devices>${disks.join("")}</devices></domain>`,
    );
    const defined = await must(["virsh", "-c", "test:///default", "define", "--validate", file]);
    match(defined, /Domain 'readme' defined/);
  } finally {
    await Deno.remove(file);
  }
});
