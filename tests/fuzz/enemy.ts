/** A client that means no good, and what tells what became of its victim. */

import { AUTH_GLUSTERFS_V3, ROOT_CREDENTIALS } from "rpc/auth.ts";
import { Connection } from "rpc/connection.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { connectTo, type Endpoint, type Transport } from "rpc/transport.ts";
import { testEnv } from "tests/fakes/node.ts";

/** A client that sends what it is told and reads whatever comes. */
export class Enemy {
  gone = false;
  #transport: Transport;

  private constructor(transport: Transport) {
    this.#transport = transport;
    this.#drain();
  }

  /** Connects, and sends `hello` first, if there is one. */
  static async connect(endpoint: Endpoint, hello?: Uint8Array<ArrayBuffer>): Promise<Enemy> {
    const enemy = new Enemy(await connectTo(endpoint));
    if (hello) await enemy.send(hello);
    return enemy;
  }

  async #drain(): Promise<void> {
    const into = new Uint8Array(65536);
    try {
      while (await this.#transport.read(into) !== null);
    } catch {
      // The other end closed it: what is hoped for.
    }
    this.gone = true;
  }

  async send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#transport.write(bytes.subarray(at));
    } catch {
      this.gone = true;
    }
  }

  /** Lets the other end act. */
  async breathe(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  leave(): void {
    this.#transport.close();
  }
}

/** A call as bytes, without its marker, made by a connection that goes nowhere. */
export function callBytes<A, R>(
  signature: Signature<A, R> & ProgramId,
  args: A,
): Uint8Array<ArrayBuffer> {
  const peer = { kind: "tcp", address: "", port: 0, text: "nowhere" } as const;
  const connection = new Connection({
    peer,
    read: () => new Promise(() => {}),
    write: (from) => Promise.resolve(from.length),
    close() {},
  }, testEnv());
  connection.flavor = AUTH_GLUSTERFS_V3;
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  connection.call(signature, signature.procedure, ROOT_CREDENTIALS, (to) => {
    signature.args.write(to, args);
    bytes = to.bytes.slice(4, to.at);
  }, () => {}).catch(() => {});
  connection.close("done");
  return bytes!;
}

/** Bytes that the process has, garbage collected first where that can be asked for. */
export function memoryUsed(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Deno.memoryUsage().rss;
}
