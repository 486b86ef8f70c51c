import { match, rejects, strictEqual as equal } from "node:assert/strict";
import { ENOTCONN, EPERM } from "core/errno.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { VolfileServer } from "mgmt/volfile_server.ts";
import { Volfiles } from "mgmt/volfiles.ts";
import { Connection } from "rpc/connection.ts";
import { fetchVolfile, getspec } from "rpc/programs/handshake.ts";
import { findPort, signIn, signOut } from "rpc/programs/portmap.ts";
import { connectTo } from "rpc/transport.ts";
import { until } from "tests/e2e/process.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

Deno.test("mgmt/volfile server: a stranger's request must be small", async () => {
  const volfiles = await Deno.makeTempDir({ prefix: "mt-volfiles-" });
  await Deno.writeTextFile(`${volfiles}/v1.vol`, "# text\n");
  const log = new LinesLog();
  const options = { volfiles: new Volfiles(volfiles), servers: [], isOwn: () => true };
  const server = new VolfileServer(testEnv({ log }), options);
  const endpoint = server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  try {
    const connect = async () => new Connection(await connectTo(endpoint), testEnv());
    const ask = (connection: Connection, size: number) => {
      const xdata = Xdata.of([["k", ptr(new Uint8Array(size))]]);
      return connection.ask(getspec, { flags: 0, key: "v1", xdata });
    };
    const usual = await connect(), large = await connect();
    equal((await ask(usual, 10_000)).spec, "# text\n");
    await rejects(ask(large, 200_000), (error) => ENOTCONN.matches(error));
    match(log.lines.join("\n"), /peer broke the protocol/);
    equal(await fetchVolfile(usual, "v1"), "# text\n");
    usual.close("done");
  } finally {
    await server.stop();
    await Deno.remove(volfiles, { recursive: true });
  }
});

Deno.test("mgmt/volfile server: who is none of us signs no brick in, and gets no login", async () => {
  const volfiles = new Volfiles(
    undefined,
    (_key, trusted) => Promise.resolve(trusted ? "# with login\n" : "# without\n"),
  );
  const own = new Set<number>();
  const isOwn = ({ port }: { port: number }) => own.has(port);
  const server = new VolfileServer(testEnv(), { volfiles, servers: [], isOwn });
  const endpoint = server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  const connect = async () => {
    const transport = await connectTo(endpoint);
    return { port: transport.peer.reached!.port, link: new Connection(transport, testEnv()) };
  };
  try {
    const us = await connect(), stranger = await connect();
    own.add(us.port);
    equal(await fetchVolfile(us.link, "v1"), "# with login\n");
    equal(await fetchVolfile(stranger.link, "v1"), "# without\n");
    const brick = (port: number) => ({ brick: "/b", port, pid: 1 });
    equal((await us.link.ask(signIn, brick(49152))).ret, 0);
    const refused = await stranger.link.ask(signIn, brick(666));
    equal(refused.errno, EPERM.errno);
    const out = await stranger.link.ask(signOut, { brick: "/b", port: 49152, rdmaPort: 0 });
    equal(out.ret, -1);
    equal(await findPort(stranger.link, "/b"), 49152);
    for (const { link } of [us, stranger]) link.close("done");
  } finally {
    await server.stop();
  }
});

Deno.test("mgmt/volfile server: volfiles whose readers have gone are not looked at again", async () => {
  let made = 0;
  const volfiles = new Volfiles(undefined, () => Promise.resolve(`# ${made++}\n`));
  const server = new VolfileServer(testEnv(), { volfiles, servers: [], isOwn: () => true });
  const endpoint = server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  const read = async () => {
    const link = new Connection(await connectTo(endpoint), testEnv());
    await fetchVolfile(link, "v1");
    return link;
  };
  const looks = async () => {
    const before = made;
    await server.refresh();
    return made - before;
  };
  try {
    const first = await read(), second = await read();
    equal(await looks(), 1);
    first.close("done");
    await until("the server saw one go", () => server.connections === 1);
    equal(await looks(), 1);
    second.close("done");
    await until("the server saw both go", () => server.connections === 0);
    equal(await looks(), 0);
  } finally {
    await server.stop();
  }
});
