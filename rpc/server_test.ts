import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ENOTCONN } from "core/errno.ts";
import { Connection } from "rpc/connection.ts";
import { procedures, type Program, serve, type Signature } from "rpc/program.ts";
import { dump, listPrograms, ping } from "rpc/programs/dump.ts";
import { callbackProgram, fetchSpec, onCallback } from "rpc/programs/callback.ts";
import { fetchVolfile, getspec, HANDSHAKE_PROGRAM } from "rpc/programs/handshake.ts";
import { findPort, portByBrick, PORTMAP_PROGRAM } from "rpc/programs/portmap.ts";
import { Listener } from "rpc/server.ts";
import { connectTo, type Endpoint, listenOn, removeStaleSocket } from "rpc/transport.ts";
import { struct, u32 } from "rpc/xdr.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

const echo: Signature<{ n: number }, { n: number }> = {
  number: 4711,
  version: 1,
  procedure: 1,
  args: struct({ n: u32 }),
  result: struct({ n: u32 }),
};
const ECHO: Program = {
  number: 4711,
  version: 1,
  name: "echo",
  procedures: procedures([[1, serve(echo, (args) => args)]]),
};
const ANY: Endpoint = { kind: "tcp", host: "127.0.0.1", port: 0 };

async function connect(endpoint: Endpoint): Promise<Connection> {
  return new Connection(await connectTo(endpoint), testEnv());
}

Deno.test("rpc/server: every listener answers DUMP and PING", async () => {
  const listener = new Listener(ANY, testEnv(), { programs: () => [ECHO] });
  const client = await connect(listener.endpoint);
  deepEqual((await listPrograms(client)).map(({ name }) => name), ["echo", "GF-DUMP"]);
  equal((await client.ask(dump, { gfsId: 5n })).gfsId, 5n);
  equal((await client.ask(ping, undefined)).ret, 0);
  await listener.stop();
});

Deno.test("rpc/server: a port of 0 is the one it got", async () => {
  const listener = new Listener(ANY, testEnv(), { programs: () => [] });
  ok(listener.endpoint.kind === "tcp" && listener.endpoint.port > 0);
  await listener.stop();
});

Deno.test("rpc/server: connections over the limit are closed, others go on", async () => {
  const log = new LinesLog(), env = testEnv({ log });
  const listener = new Listener(ANY, env, { programs: () => [ECHO], connectionsMax: 2 });
  const [a, b] = [await connect(listener.endpoint), await connect(listener.endpoint)];
  await Promise.all([a.ask(echo, { n: 1 }), b.ask(echo, { n: 2 })]);
  const c = await connect(listener.endpoint);
  await c.closed;
  equal(log.lines.filter((line) => line.includes("refused: too many")).length, 1);
  a.close("done");
  while (listener.connections.size > 1) await b.ask(echo, { n: 2 });
  const d = await connect(listener.endpoint);
  equal((await d.ask(echo, { n: 3 })).n, 3);
  await listener.stop();
});

Deno.test("rpc/server: one address has no more connections than it may, however many are free", async () => {
  const asked: string[] = [];
  const listener = new Listener(ANY, testEnv(), {
    programs: () => [ECHO],
    connectionsOf: ({ address }) => (asked.push(address), 2),
  });
  const [a, b] = [await connect(listener.endpoint), await connect(listener.endpoint)];
  await Promise.all([a.ask(echo, { n: 1 }), b.ask(echo, { n: 2 })]);
  await (await connect(listener.endpoint)).closed;
  a.close("done");
  while (listener.connections.size > 1) await b.ask(echo, { n: 2 });
  const d = await connect(listener.endpoint);
  equal((await d.ask(echo, { n: 3 })).n, 3);
  equal(new Set(asked).size, 1);
  await listener.stop();
});

Deno.test("rpc/server: stop answers what is under way and accepts nobody", async () => {
  let finish!: () => void;
  const slow: Program = {
    ...ECHO,
    procedures: procedures([[
      1,
      serve(echo, (args) => new Promise((resolve) => finish = () => resolve(args))),
    ]]),
  };
  const listener = new Listener(ANY, testEnv(), { programs: () => [slow] });
  const client = await connect(listener.endpoint);
  const answer = client.ask(echo, { n: 7 });
  while (!finish) await new Promise((resolve) => setImmediate(resolve));
  const stopped = listener.stop();
  await rejects(connect(listener.endpoint));
  finish();
  equal((await answer).n, 7);
  await stopped;
  await client.closed;
  await rejects(client.ask(echo, { n: 8 }), (error) => ENOTCONN.matches(error));
});

Deno.test("rpc/server: each connection may have programs of its own", async () => {
  let made = 0;
  const listener = new Listener(ANY, testEnv(), {
    programs: () => {
      const n = ++made;
      return [{ ...ECHO, procedures: procedures([[1, serve(echo, () => ({ n }))]]) }];
    },
  });
  const [a, b] = [await connect(listener.endpoint), await connect(listener.endpoint)];
  const answers = [await a.ask(echo, { n: 0 }), await b.ask(echo, { n: 0 })];
  deepEqual(answers.map(({ n }) => n).sort(), [1, 2]);
  await listener.stop();
});

Deno.test("rpc/server: volfiles, ports and word of a changed volfile on one connection", async () => {
  const management: Program[] = [{
    ...HANDSHAKE_PROGRAM,
    name: "handshake",
    procedures: procedures([[
      getspec.procedure,
      serve(
        getspec,
        ({ key }) =>
          key === "v1"
            ? { ret: 6, errno: 0, spec: "volume", xdata: undefined }
            : { ret: -1, errno: 2, spec: "", xdata: undefined },
      ),
    ]]),
  }, {
    ...PORTMAP_PROGRAM,
    name: "portmap",
    procedures: procedures([[
      portByBrick.procedure,
      serve(
        portByBrick,
        ({ brick }) =>
          brick === "/b"
            ? { ret: 0, errno: 0, status: 1, port: 49152 }
            : { ret: -1, errno: 0, status: 0, port: 0 },
      ),
    ]]),
  }];
  const listener = new Listener(ANY, testEnv(), { programs: () => management });
  let changed = 0;
  const client = new Connection(await connectTo(listener.endpoint), testEnv(), {
    programs: [callbackProgram([onCallback(fetchSpec, () => void changed++)])],
  });
  equal(await fetchVolfile(client, "v1"), "volume");
  equal(await fetchVolfile(client, "v2"), undefined);
  equal(await findPort(client, "/b"), 49152);
  equal(await findPort(client, "/c"), undefined);
  for (const each of listener.connections) each.notify(fetchSpec, undefined);
  while (!changed) await client.ask(ping, undefined);
  equal(changed, 1);
  await listener.stop();
});

Deno.test("rpc/transport: a stale unix socket is removed, one in use is not", async () => {
  const dir = await Deno.makeTempDir(), path = `${dir}/s`;
  try {
    await removeStaleSocket(path);
    const acceptor = listenOn({ kind: "unix", path });
    await removeStaleSocket(path);
    ok(Deno.lstatSync(path).isSocket);
    const transport = await connectTo({ kind: "unix", path });
    deepEqual(transport.peer, { kind: "unix", address: "", port: 0, text: path });
    transport.close();
    acceptor.close();
    await Deno.writeTextFile(`${dir}/file`, "kept");
    await removeStaleSocket(`${dir}/file`);
    equal(await Deno.readTextFile(`${dir}/file`), "kept");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
