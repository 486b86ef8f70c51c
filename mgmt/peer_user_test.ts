import { strictEqual as equal } from "node:assert/strict";
import { isOwnProcess, userOfPeer } from "mgmt/peer_user.ts";
import { until } from "tests/e2e/process.ts";
import { listenOn, type PeerAddress } from "rpc/transport.ts";

const NOBODY = 65534;

/** Has a shell of `uid` connect to `host`, and shows who came. */
async function visit(
  host: string,
  uid: number,
  look: (peer: PeerAddress) => void | Promise<void>,
  { end = "read" }: { end?: string } = {},
): Promise<void> {
  const acceptor = listenOn({ kind: "tcp", host, port: 0 });
  const { endpoint } = acceptor;
  const port = endpoint.kind === "tcp" ? endpoint.port : 0;
  const to = host === "::" ? "127.0.0.1" : host;
  const visitor = new Deno.Command("bash", {
    args: ["-c", `exec 3<>/dev/tcp/${to}/${port}; ${end} <&3`],
    uid,
    cwd: "/",
  }).spawn();
  const transport = await acceptor.accept();
  try {
    await look(transport!.peer);
  } finally {
    transport?.close();
    acceptor.close();
    await visitor.status;
  }
}

for (const host of ["127.0.0.1", "::1", "::"]) {
  Deno.test({
    name: `mgmt/peer user: who comes to ${host} is known by user, not by address`,
    ignore: Deno.uid() !== 0,
    async fn() {
      await visit(host, 0, (peer) => {
        equal(userOfPeer(peer), 0);
        equal(isOwnProcess(peer), true);
      });
      await visit(host, NOBODY, (peer) => {
        equal(userOfPeer(peer), NOBODY);
        equal(isOwnProcess(peer), false);
      });
    },
  });
}

Deno.test({
  name: "mgmt/peer user: a socket that was closed, or is elsewhere, is nobody's",
  ignore: Deno.uid() !== 0,
  async fn() {
    // The shell ends at once; the kernel then shows root for what is left of its socket.
    await visit("127.0.0.1", NOBODY, async (peer) => {
      await until("the socket is closed", () => userOfPeer(peer) !== NOBODY);
      equal(userOfPeer(peer), undefined);
      equal(isOwnProcess(peer), false);
    }, { end: "true" });
    const reached = { address: "127.0.0.1", port: 1 };
    const far = { kind: "tcp", address: "192.0.2.1", port: 2, text: "", reached } as const;
    equal(isOwnProcess(far), false);
    equal(isOwnProcess({ ...far, address: "127.0.0.1" }), false);
  },
});
