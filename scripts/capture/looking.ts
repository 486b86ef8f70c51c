/**
 * What GlusterFS 10.3 answers to commands that only look: makes tests/interop/looking.json. Needs
 * root, FUSE, loop devices, xfsprogs, e2fsprogs and the Debian packages glusterfs-server and
 * glusterfs-client; the glusterd that it runs sees nothing of the machine's own.
 *
 *     deno run -A scripts/capture/looking.ts tests/interop/looking.json
 */

// deno-lint-ignore-file no-console -- a command's output

import type { Seen, SeenCommand } from "tests/interop/looking.ts";

const [file] = Deno.args;
if (file === undefined) throw new Error("expected the file to write");
const dir = await Deno.makeTempDir({ prefix: "mt-looking-" });
try {
  for (const script of ["looking.sh", "looking_peers.sh"]) await runApart(script, dir);
  const commands: Record<string, SeenCommand> = {}, files: Record<string, string> = {};
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  for (const name of names) {
    const text = await Deno.readTextFile(`${dir}/${name}`);
    if (name.startsWith("state-")) files[name] = text;
    if (!name.endsWith(".txt")) continue;
    const plain = name.slice(0, -".txt".length);
    const [line, seen] = parse(text);
    const [, xml] = parse(await Deno.readTextFile(`${dir}/${plain}.xml`));
    commands[plain] = { words: line.split(" "), text: seen, xml };
  }
  await Deno.writeTextFile(file, `${JSON.stringify({ commands, files }, undefined, 1)}\n`);
  console.log(`${Object.keys(commands).length} commands`);
} finally {
  await Deno.remove(dir, { recursive: true });
}

/** Runs a script beside this one in namespaces of its own. */
async function runApart(script: string, dir: string): Promise<void> {
  const { success } = await new Deno.Command("unshare", {
    args: [
      ...["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"],
      ...["sh", new URL(script, import.meta.url).pathname],
      ...[dir, await Deno.readLink("/proc/self/ns/net")],
    ],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`${script} failed`);
}

function parse(text: string): [line: string, seen: Seen] {
  const found = /^# gluster (.*)\n([^]*?)(?:\[stderr\]\n([^]*))?\[exit (\d+)\]\n$/.exec(text);
  if (!found) throw new Error(`cannot read "${text}"`);
  const [, line, stdout, stderr, exit] = found;
  // An idle brick has room for 128 connections, all but one empty.
  const short = stdout!.replaceAll(/(Connection \d+:\n \n){3,}/g, "");
  const said = (stderr ?? "").replace(/(?<=\nUsage:\n)[^]*/, "");
  return [line!, { stdout: short, stderr: said, exitCode: Number(exit) }];
}
