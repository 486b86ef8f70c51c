import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { str, valueText, Xdata } from "core/xdata.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { glusterCliProgram } from "mgmt/legacy/program.ts";
import { Connection } from "rpc/connection.ts";
import { RpcError } from "rpc/message.ts";
import { cliCall, getwd, GLUSTER_CLI, listFriends } from "rpc/programs/gluster_cli.ts";
import { Listener } from "rpc/server.ts";
import { connectTo, type Endpoint } from "rpc/transport.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";
import { testEnv } from "tests/fakes/node.ts";

type Dict = Readonly<Record<string, string>>;
interface Call {
  readonly procedure: keyof typeof GLUSTER_CLI;
  readonly request: { readonly dict: Dict | null };
  readonly reply: {
    readonly ret: number;
    readonly errno: number;
    readonly error: string;
    readonly dict: Dict | null;
  };
}

// What gluster and glusterd 10.3 said to each other; made by scripts/capture/gluster_cli.ts.
const GOLDEN = JSON.parse(
  await Deno.readTextFile(new URL("../../tests/interop/gluster_cli.json", import.meta.url)),
) as readonly { readonly command: string; readonly calls: readonly Call[] }[];

async function withProgram(
  use: (unix: Connection, tcp: Connection, home: string) => Promise<void>,
): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "mt-legacy-" });
  const { cluster } = fakeCluster(home);
  await Deno.mkdir(cluster.places.logs, { recursive: true });
  const dispatcher = new Dispatcher(cluster, MANAGED);
  const options = {
    programs: (connection: Connection) => [glusterCliProgram(dispatcher, home, connection)],
  };
  const endpoints: Endpoint[] = [
    { kind: "unix", path: `${home}/socket` },
    { kind: "tcp", host: "127.0.0.1", port: 0 },
  ];
  const listeners = endpoints.map((each) => new Listener(each, testEnv(), options));
  const [unix, tcp] = await Promise.all(
    listeners.map(async ({ endpoint }) => new Connection(await connectTo(endpoint), testEnv())),
  );
  try {
    await use(unix!, tcp!, home);
  } finally {
    for (const each of [unix, tcp]) each!.close("done");
    for (const each of listeners) await each.stop();
    await Deno.remove(home, { recursive: true });
  }
}

function packed(dict: Dict | null): Xdata | undefined {
  return dict
    ? Xdata.of(Object.entries(dict).map(([name, value]) => [name, str(value)]))
    : undefined;
}

function unpacked(dict: Xdata | undefined): Dict {
  return Object.fromEntries([...dict ?? []].map(([name, value]) => [name, valueText(value)!]));
}

Deno.test("mgmt/legacy: what is refused is told in GlusterFS's words, numbers and keys", () =>
  withProgram(async (unix) => {
    const refused = GOLDEN.filter(({ command }) => / nope\b/.test(command) && /^vol/.test(command));
    ok(refused.length >= 14, `only ${refused.length}`);
    for (const { command, calls: [call] } of refused) {
      const { procedure, request, reply } = call!;
      const ours = await unix.ask(cliCall(GLUSTER_CLI[procedure]), { dict: packed(request.dict) });
      deepEqual([ours.ret, ours.errno, ours.error], [reply.ret, reply.errno, reply.error], command);
      deepEqual(unpacked(ours.dict), reply.dict, command);
    }
  }));

Deno.test("mgmt/legacy: from another machine only looking is there", () =>
  withProgram(async (_unix, tcp, home) => {
    equal((await tcp.ask(getwd, { unused: 0 })).wd, home);
    const { friends } = await tcp.ask(listFriends, { flags: 2, dict: undefined });
    equal(unpacked(friends)["friend1.hostname"], "localhost");
    const list = await tcp.ask(cliCall(GLUSTER_CLI.listVolume), { dict: undefined });
    deepEqual(unpacked(list.dict), { count: "0" });
    for (const procedure of [GLUSTER_CLI.startVolume, GLUSTER_CLI.setVolume, GLUSTER_CLI.probe]) {
      const asked = tcp.ask(cliCall(procedure), { dict: packed({ volname: "v" }) });
      await rejects(asked, (error) => error instanceof RpcError);
    }
  }));

Deno.test("mgmt/legacy: a verb that is not there yet, and a wrong one, are refused in words", () =>
  withProgram(async (unix) => {
    const detach = await unix.ask(cliCall(GLUSTER_CLI.deprobe), {
      dict: packed({ volname: "v" }),
    });
    deepEqual([detach.ret, detach.error], [-1, '"peer detach" is not supported by mortar yet']);
    const empty = await unix.ask(cliCall(GLUSTER_CLI.startVolume), { dict: undefined });
    deepEqual([empty.ret, empty.error], [-1, 'Cannot read the request: "volname": it is missing']);
    const friends = await unix.ask(listFriends, { flags: 7, dict: undefined });
    equal(friends.ret, -1);
  }));
