/** A client of NBD that says what a test wants, right or wrong. */

import { strictEqual as equal } from "node:assert/strict";
import { Incoming, type Stream } from "gateways/nbd/stream.ts";
import {
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  REQUEST_MAGIC,
  SIMPLE_REPLY_MAGIC,
  viewOf,
} from "gateways/nbd/wire.ts";

/** See the head of this file. It owns the connection. */
export class NbdClient<Connection extends Stream = Deno.TcpConn> implements Disposable {
  readonly incoming: Incoming;

  constructor(readonly connection: Connection) {
    this.incoming = new Incoming(connection);
  }

  async send(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let at = 0; at < part.length;) at += await this.connection.write(part.subarray(at));
    }
  }

  /** Sends an option; answers its replies up to one that ends it. */
  async option(option: number, data = new Uint8Array(0)): Promise<[number, Uint8Array][]> {
    await this.send(u64(OPTION_MAGIC), u32(option), u32(data.length), data);
    const replies: [number, Uint8Array][] = [];
    for (;;) {
      const head = viewOf((await this.incoming.take(20)).slice());
      equal(head.getUint32(8), option);
      const type = head.getUint32(12);
      replies.push([type, (await this.incoming.take(head.getUint32(16))).slice()]);
      if (type === OPTION_REPLY.ack || type >= 0x8000_0000) return replies;
    }
  }

  go(name: string): Promise<[number, Uint8Array][]> {
    return this.option(OPTION.go, bytes(u32(name.length), text(name), u16(0)));
  }

  async request(
    command: number,
    { flags = 0, cookie = 1n, offset = 0n, length = 0, data = new Uint8Array(0) } = {},
  ): Promise<void> {
    const size = data.length || length;
    const numbers = [u32(REQUEST_MAGIC), u16(flags), u16(command), u64(cookie), u64(offset)];
    await this.send(bytes(...numbers, u32(size), data));
  }

  /** A simple reply: its error and cookie. */
  async reply(): Promise<{ error: number; cookie: bigint }> {
    const head = viewOf(await this.incoming.take(16));
    equal(head.getUint32(0), SIMPLE_REPLY_MAGIC);
    return { error: head.getUint32(4), cookie: head.getBigUint64(8) };
  }

  async chunk(): Promise<{ type: number; last: boolean; payload: Uint8Array }> {
    const head = viewOf((await this.incoming.take(20)).slice());
    const payload = new Uint8Array(head.getUint32(16));
    await this.incoming.fill(payload);
    return { type: head.getUint16(6), last: head.getUint16(4) === 1, payload };
  }

  /** Resolves when the server closed the connection. */
  async closed(): Promise<void> {
    try {
      while (await this.connection.read(new Uint8Array(4096)));
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

function number(size: number, set: (view: DataView) => void): Uint8Array {
  const made = new Uint8Array(size);
  set(viewOf(made));
  return made;
}
/** Numbers, texts and their runs, as they travel. */
export const u16 = (value: number) => number(2, (view) => view.setUint16(0, value));
export const u32 = (value: number) => number(4, (view) => view.setUint32(0, value));
export const u64 = (value: bigint) => number(8, (view) => view.setBigUint64(0, value));
export const text = (value: string) => new TextEncoder().encode(value);
export const bytes = (...parts: Uint8Array[]) => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};
/** What SET_META_CONTEXT and LIST_META_CONTEXT are asked with. */
export const query = (name: string, ...queries: string[]) =>
  bytes(
    ...[u32(name.length), text(name), u32(queries.length)],
    ...queries.flatMap((each) => [u32(each.length), text(each)]),
  );
