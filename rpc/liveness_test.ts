import { ok, strictEqual as equal } from "node:assert/strict";
import { connectTo, listenOn } from "rpc/transport.ts";
import { keepLively } from "rpc/liveness.ts";

const hasSs = await new Deno.Command("sh", { args: ["-c", "command -v ss"] }).output();

Deno.test({
  name: "rpc/liveness: a vanished peer is noticed within a minute, at both ends",
  ignore: !hasSs.success,
  async fn() {
    const acceptor = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 });
    const { endpoint } = acceptor;
    const [server, client] = await Promise.all([acceptor.accept(), connectTo(endpoint)]);
    const port = endpoint.kind === "tcp" ? endpoint.port : 0;
    // ss shows the time left of a socket's keepalive timer: at most 20 s of the system's two hours.
    const { stdout } = await new Deno.Command("ss", {
      args: ["-tnoH", "state", "established", `( sport = :${port} or dport = :${port} )`],
    }).output();
    const timers = new TextDecoder().decode(stdout).match(/timer:\(keepalive,(\d+)(\.\d+)?sec/g);
    equal(timers?.length, 2);
    ok(timers!.every((timer) => Number(/,(\d+)/.exec(timer)![1]) <= 20));
    server!.close();
    client.close();
    acceptor.close();
  },
});

Deno.test("rpc/liveness: ports that no socket has are no error", () => {
  equal(keepLively(1, 1), false);
});
