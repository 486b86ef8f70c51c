import { doesNotMatch, match, strictEqual as equal } from "node:assert/strict";
import { getspec } from "rpc/programs/handshake.ts";
import { signIn } from "rpc/programs/portmap.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { must } from "tests/e2e/process.ts";
import { callBytes } from "tests/fuzz/enemy.ts";
import { marked } from "tests/fuzz/records.ts";

const NOBODY = "65534";
/** Bytes of an answer that hold the bottom layer of a client's volfile, and of a short answer. */
const VOLFILE = 600, REPLY = 36;

/** What the daemon answers to `record` from a user of the same machine, the first `size` bytes. */
async function answered(
  node: ManagedNode,
  record: Uint8Array,
  user: string,
  size: number,
): Promise<string> {
  const file = `${node.dir}/record`;
  await Deno.writeFile(file, record, { mode: 0o644 });
  await Deno.chmod(node.dir, 0o755);
  const talk =
    `exec 3<>/dev/tcp/${NODE_HOST}/24007; cat "$0" >&3; timeout 10 head -c ${size} <&3 | od -An -c -v`;
  const shell = ["bash", "-c", talk, file];
  const text = await must(
    node.space.inside(["setpriv", "--reuid", user, "--clear-groups", ...shell]),
  );
  return text.replace(/\s/g, "");
}

e2e(
  "mortar mgmt: another user of the machine gets no login, and cannot end or replace a brick",
  ["setpriv"],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 1);
    const [brick] = await node.allOnline("v1");
    const asks = marked(callBytes(getspec, { flags: 0, key: "v1", xdata: undefined }));
    match(await answered(node, asks, "0", VOLFILE), /optionpassword/);
    const told = await answered(node, asks, NOBODY, VOLFILE);
    match(told, /volumev1-client-0/);
    doesNotMatch(told, /password/);
    for (const name of [brick!.path, "/elsewhere"]) {
      const entry = { brick: name, port: 666, pid: brick!.pid };
      await answered(node, marked(callBytes(signIn, entry)), NOBODY, REPLY);
    }
    const [after] = await node.allOnline("v1");
    equal(after!.pid, brick!.pid);
    equal(after!.port, brick!.port);
  },
);

e2e(
  "volume delete: files that cannot be put away are no reason to keep half a volume",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.must(`volume create v1 ${NODE_HOST}:${node.dir}/a force`);
    // Where they would go is no directory.
    await Deno.writeTextFile(`${node.home}/trash`, "");
    await node.must("volume delete v1");
    match(node.lastWords, /files of a volume that is gone are left/);
    await Deno.remove(`${node.home}/trash`);
    await node.must(`volume create v1 ${NODE_HOST}:${node.dir}/a force`);
    match(await node.must("volume info v1"), /Status: Created/);
  },
);
