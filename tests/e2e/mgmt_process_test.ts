/** `mortar mgmt` as a process: volfiles, ports and changes, to programs of ours and of GlusterFS. */

import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { testEnv } from "tests/fakes/node.ts";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { cannotRun } from "tests/e2e/harness.ts";
import { must, run, until } from "tests/e2e/process.ts";
import { textKey, Xdata } from "core/xdata.ts";
import { str } from "core/xdata.ts";
import { Connection } from "rpc/connection.ts";
import { callbackProgram, fetchSpec, onCallback } from "rpc/programs/callback.ts";
import { listPrograms } from "rpc/programs/dump.ts";
import { fetchVolfile, getspec, getVolumeInfo } from "rpc/programs/handshake.ts";
import { brickByPort, findPort, signIn, signOut } from "rpc/programs/portmap.ts";
import { connectTo } from "rpc/transport.ts";

const BRICK = "/bricks/b1";
const VOLUME_ID = "11111111-2222-3333-4444-555555555555";

/** A volfile server on a free port over a directory with `v1.vol`; all is gone afterwards. */
async function serve(...more: string[]) {
  const dir = await Deno.makeTempDir({ prefix: "mt-mgmt-" });
  const volfiles = `${dir}/volfiles`;
  await Deno.mkdir(`${volfiles}/shd`, { recursive: true });
  await Deno.writeTextFile(`${volfiles}/v1.vol`, "volume größe\n    type x/y\nend-volume\n");
  await Deno.writeTextFile(`${volfiles}/shd/v1.vol`, "# healer\n");
  await Deno.writeTextFile(
    `${volfiles}/v1.host.b1.vol`,
    `volume p\n  type storage/posix\n  option volume-id ${VOLUME_ID}\nend-volume\n`,
  );
  await Deno.writeTextFile(`${dir}/secret.vol`, "secret\n");
  const daemon = new DaemonProcess([
    ...["mgmt", "--home", `${dir}/home`, "--volfiles", volfiles, "--port", "0"],
    ...["--statedump-dir", dir, ...more],
  ]);
  const address = await daemon.address();
  const port = Number(address.split(":").at(-1));
  const connections: Connection[] = [];
  /** A new connection to it; `changed` is called when it says that the volfile changed. */
  const connect = async (changed = () => {}) => {
    const transport = await connectTo({ kind: "tcp", host: "127.0.0.1", port });
    const made = new Connection(transport, testEnv(), {
      programs: [callbackProgram([onCallback(fetchSpec, changed)])],
    });
    connections.push(made);
    return made;
  };
  return {
    dir,
    volfiles,
    daemon,
    address,
    port,
    connect,
    async [Symbol.asyncDispose]() {
      for (const each of connections) each.close("test ended");
      await daemon[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("mortar mgmt: volfiles come by key with their size in bytes, and no key leads outside", async () => {
  await using at = await serve("--server", "other:24008", "--server", "third");
  const connection = await at.connect();
  const names = (await listPrograms(connection)).map(({ name }) => name).sort();
  deepEqual(names, [
    ...["GF-DUMP", "Gluster Portmap", "GlusterD svc cli read-only", "GlusterFS Handshake"],
    "mortar commands",
  ]);
  const text = await Deno.readTextFile(`${at.volfiles}/v1.vol`);
  for (const key of ["v1", "/v1", "v1.tcp"]) {
    const answer = await connection.ask(getspec, { flags: 1, key, xdata: undefined });
    deepEqual([answer.ret, answer.errno, answer.spec], [text.length + 2, 0, text]);
    equal(answer.xdata?.get(textKey("servers-list")), "other:24008 third:24007");
  }
  equal(await fetchVolfile(connection, "shd/v1"), "# healer\n");
  for (const key of ["", "v2", "../secret", "/../secret", "shd/../../secret", "shd", "x\0y"]) {
    const answer = await connection.ask(getspec, { flags: 0, key, xdata: undefined });
    deepEqual([answer.ret, answer.errno, answer.spec], [-1, 2, ""], key);
  }
  equal(await at.daemon.end(), 0);
});

Deno.test("mortar mgmt: a volume's id is what its volfiles say", async () => {
  await using at = await serve();
  const connection = await at.connect();
  const ask = (volume: string) =>
    connection.ask(getVolumeInfo, { dict: Xdata.of([["volname", str(volume)]]) });
  const known = await ask("v1");
  deepEqual([known.ret, known.dict?.get(textKey("volume_id"))], [0, VOLUME_ID]);
  const unknown = await ask("v9");
  deepEqual([unknown.ret, unknown.error], [-1, 'Volume "v9" does not exist']);
});

Deno.test("mortar mgmt: a brick's port is known from its sign-in until its connection ends", async () => {
  await using at = await serve();
  const brick = await at.connect(), client = await at.connect();
  equal(await findPort(client, BRICK), undefined);
  equal((await brick.ask(signIn, { brick: BRICK, port: 49152, pid: 7 })).ret, 0);
  equal(await findPort(client, BRICK), 49152);
  equal((await client.ask(brickByPort, { port: 49152 })).brick, BRICK);
  equal((await client.ask(signOut, { brick: BRICK, port: 49152, rdmaPort: 0 })).ret, -1);
  equal((await client.ask(signIn, { brick: "", port: 1, pid: 7 })).ret, -1);
  equal((await client.ask(signIn, { brick: "/b", port: 70000, pid: 7 })).ret, -1);
  brick.close("killed");
  await at.daemon.said(/ I brick is gone: its connection ended brick=\/bricks\/b1$/);
  equal(await findPort(client, BRICK), undefined);
});

Deno.test("mortar mgmt: a brick of ours signs in, follows its volfile, and signs out", async () => {
  await using at = await serve();
  const directory = `${at.dir}/brick`;
  await Deno.mkdir(directory);
  const volfile = (more = "") =>
    `volume posix
      type storage/posix
      option directory ${directory}
    end-volume
    volume ${BRICK}
      type features/locks
      subvolumes posix
    end-volume
    volume server
      type protocol/server
      option transport.socket.listen-port 0
      option auth.addr.${BRICK}.allow *
      ${more}
      subvolumes ${BRICK}
    end-volume
    `;
  await Deno.writeTextFile(`${at.volfiles}/b1.vol`, volfile());
  await using brick = new DaemonProcess([
    ...["brick", "-s", at.address, "--volfile-id", "b1"],
  ]);
  const port = Number((await brick.address()).split(":")[1]);
  await brick.said(/ I brick signed in brick=\/bricks\/b1 /);
  const client = await at.connect();
  equal(await findPort(client, BRICK), port);
  await Deno.writeTextFile(`${at.volfiles}/b1.vol`, volfile("option root-squash on"));
  await brick.said(/ I volume reconfigured volume=server$/);
  equal(await brick.end(), 0);
  await at.daemon.said(/ I brick signed out brick=\/bricks\/b1 /);
  equal(await findPort(client, BRICK), undefined);
  await using lost = new DaemonProcess(["brick", "-s", at.address, "--volfile-id", "b2"]);
  await lost.said(/^Cannot fetch volfile "b2" of .*: the server has none of that name; check/);
  equal((await lost.ended()).code, 1);
});

Deno.test("mortar mgmt: who read a volfile is told when it changes, who did not is not", async () => {
  await using at = await serve();
  const told: string[] = [];
  const heard = Promise.withResolvers<void>();
  const reader = await at.connect(() => {
    told.push("reader");
    heard.resolve();
  });
  const other = await at.connect(() => told.push("other"));
  await fetchVolfile(reader, "/v1");
  await fetchVolfile(other, "shd/v1");
  await Deno.writeTextFile(`${at.volfiles}/v1.vol`, "volume a\n    type x/y\nend-volume\n");
  await heard.promise;
  await fetchVolfile(other, "v1");
  deepEqual(told, ["reader"]);
});

Deno.test("mortar mgmt: what is in the way is said in one line", async () => {
  await using at = await serve();
  const home = `${at.dir}/other`;
  const clash = await mortar("mgmt", "--home", home, "--port", String(at.port));
  equal(clash.code, 1);
  match(
    clash.err,
    /^Cannot listen on 127\.0\.0\.1:\d+: something else listens there; stop it, or/m,
  );
  const nowhere = await mortar("mgmt", "--home", home, "--volfiles", "/nope");
  deepEqual([nowhere.code, nowhere.err], [
    1,
    'Cannot serve volfiles of "/nope": No such file or directory\n',
  ]);
  equal((await mortar("mgmt", "--home", home, "--port", "x")).code, 2);
  const second = await mortar("mgmt", "--home", `${at.dir}/home`, "--port", "0");
  equal(second.code, 1);
  match(second.err, /^Cannot use ".*\/home": process \d+ manages it already; stop that one, or/m);
});

Deno.test("mortar mgmt: its unix socket is private, replaces a dead one's and spares a living one's", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/sock`;
  // A socket file whose process is gone.
  Deno.listen({ transport: "unix", path }).close();
  await Deno.remove(path).catch(() => {});
  const dead = "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
  await new Deno.Command("python3", { args: ["-c", dead, path] }).output();
  {
    await using at = await serve("--socket", path);
    equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    const transport = await connectTo({ kind: "unix", path });
    const connection = new Connection(transport, testEnv());
    ok((await fetchVolfile(connection, "v1"))!.startsWith("volume "));
    connection.close("done");
    const second = await mortar(
      ...["mgmt", "--home", `${at.dir}/other`, "--port", "0", "--socket", path],
    );
    equal(second.code, 1);
    match(second.err, /Cannot listen on .*sock: something else listens there/);
    equal(await at.daemon.end(), 0);
  }
  await rejects(Deno.stat(path), Deno.errors.NotFound);
  await Deno.remove(dir, { recursive: true });
});

const GLUSTER = cannotRun("gluster", "glusterfs", "glusterfsd", "mount.glusterfs");

Deno.test({
  name: "mortar mgmt: gluster system:: getspec gets a volfile over the unix socket",
  ignore: GLUSTER !== "",
  async fn() {
    const dir = await Deno.makeTempDir();
    await using at = await serve("--socket", `${dir}/sock`);
    const getspecOf = (key: string) =>
      run(["gluster", `--glusterd-sock=${dir}/sock`, "system::", "getspec", key]);
    equal(
      (await getspecOf("v1")).out.trim(),
      (await Deno.readTextFile(`${at.volfiles}/v1.vol`)).trim(),
    );
    equal((await getspecOf("../secret")).code, 1);
    equal(await at.daemon.end(), 0);
    await Deno.remove(dir, { recursive: true });
  },
});

/** A volume of two bricks, one signed in here and one not yet used by the volume. */
function clientVolfile(port: number, options: string, bricks: readonly string[]): string {
  const clients = bricks.map((name, index) =>
    `volume v-client-${index}
    type protocol/client
    option remote-host 127.0.0.1
    option remote-port ${port}
    option remote-subvolume ${name}
end-volume
`
  );
  return `${clients.join("")}volume v-dht
    type cluster/distribute
    subvolumes ${bricks.map((_, index) => `v-client-${index}`).join(" ")}
end-volume
volume v
    type debug/io-stats
    ${options}
    subvolumes v-dht
end-volume
`;
}

Deno.test({
  name: "mortar mgmt: a mounted client takes changed options over, and switches to another graph",
  ignore: GLUSTER !== "",
  async fn() {
    await using at = await serve();
    const bricks: DaemonProcess[] = [];
    const mount = `${at.dir}/mnt`, log = `${at.dir}/client.log`;
    const logged = async (text: RegExp) => text.test(await Deno.readTextFile(log));
    try {
      for (const name of ["b1", "b2"]) {
        const directory = `${at.dir}/${name}`;
        await Deno.mkdir(directory);
        await Deno.writeTextFile(
          `${at.volfiles}/${name}.vol`,
          `volume posix
            type storage/posix
            option directory ${directory}
          end-volume
          volume ${name}
            type features/locks
            subvolumes posix
          end-volume
          volume server
            type protocol/server
            option transport.socket.listen-port 0
            option auth.addr.${name}.allow 127.0.0.1
            subvolumes ${name}
          end-volume
          `,
        );
        const brick = new DaemonProcess(["brick", "-s", at.address, "--volfile-id", name]);
        bricks.push(brick);
        await brick.said(/brick signed in/);
      }
      const file = `${at.volfiles}/v.vol`;
      await Deno.writeTextFile(file, clientVolfile(at.port, "", ["b1"]));
      await Deno.mkdir(mount);
      const how = `server-port=${at.port},log-level=INFO,log-file=${log}`;
      await must(["mount", "-t", "glusterfs", "-o", how, "127.0.0.1:/v", mount]);
      await Deno.writeTextFile(`${mount}/hello`, "world");
      equal(await Deno.readTextFile(`${at.dir}/b1/hello`), "world");
      const open = await Deno.open(`${mount}/hello`);
      await Deno.writeTextFile(
        file,
        clientVolfile(at.port, "option latency-measurement on", ["b1"]),
      );
      await until("options are taken over", () => logged(/latency-measurement/));
      await Deno.writeTextFile(file, clientVolfile(at.port, "", ["b1", "b2"]));
      await until("the graph is switched", async () => {
        await Deno.stat(mount);
        return await logged(/switched to graph [1-9]/);
      });
      const buffer = new Uint8Array(16);
      equal(await open.read(buffer), 5);
      open.close();
      for (let i = 0; i < 20; i++) await Deno.mkdir(`${mount}/dir-${i}`);
      const made = (name: string) =>
        [...Deno.readDirSync(`${at.dir}/${name}`)].filter((each) => /^dir-/.test(each.name)).length;
      deepEqual([made("b1"), made("b2")], [20, 20]);
    } finally {
      await run(["umount", "-l", mount]);
      for (const brick of bricks) await brick[Symbol.asyncDispose]();
    }
  },
});
