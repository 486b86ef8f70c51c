/** A client of the fop program for tests: it joins a brick and sends single fops. */

import { type Call, ROOT } from "core/call.ts";
import { type Args, type FopName, FOPS, type Reply } from "core/fops.ts";
import { Fd, type Gfid, Inode, ROOT_GFID } from "core/inode.ts";
import { str, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { AUTH_GLUSTERFS_V3 } from "rpc/auth.ts";
import { Connection } from "rpc/connection.ts";
import type { Program } from "rpc/program.ts";
import { setvolume } from "rpc/programs/handshake.ts";
import { GFX_PROGRAM, GFX_VERSION, WIRES } from "rpc/programs/gfx.ts";
import { connectTo, type Endpoint } from "rpc/transport.ts";
import { ANONYMOUS_FD, type Peer, type Wire } from "rpc/wire.ts";
import { testEnv } from "tests/fakes/node.ts";

let joins = 0;

/** What a client says when it joins; `undefined` leaves a key out. */
export function joinDict(brick: string, more: Record<string, string | undefined> = {}): Xdata {
  const all: Record<string, string | undefined> = {
    "remote-subvolume": brick,
    "process-uuid": `test-client-${++joins}`,
    "fops-version": "1298437",
    "client-version": "10.3",
    ...more,
  };
  return Xdata.of(
    Object.entries(all).flatMap(([name, value]) => value === undefined ? [] : [[name, str(value)]]),
  );
}

/** See the head of this file. Replies own their data. */
export class FopClient implements Peer {
  readonly root = new Inode(ROOT_GFID);
  #numbers = new Map<Fd, number>();

  constructor(readonly connection: Connection) {
    connection.flavor = AUTH_GLUSTERFS_V3;
  }

  /** Connects without joining. */
  static async connect(endpoint: Endpoint, programs: readonly Program[] = []): Promise<FopClient> {
    return new FopClient(new Connection(await connectTo(endpoint), testEnv(), { programs }));
  }

  /** Connects and joins; throws if it may not. */
  static async join(
    endpoint: Endpoint,
    dict: Xdata,
    programs: readonly Program[] = [],
  ): Promise<FopClient> {
    const client = await FopClient.connect(endpoint, programs);
    const { ret, errno } = await client.connection.ask(setvolume, { dict });
    if (ret < 0) throw new Error(`cannot join: ${errno}`);
    return client;
  }

  /** Sends one fop, as root unless `call` says otherwise. */
  ask<K extends FopName>(fop: K, args: Args<K>, call: Partial<Call> = {}): Promise<Reply<K>> {
    const wire = WIRES[fop] as Wire<K>;
    return this.connection.call(
      { number: GFX_PROGRAM, version: GFX_VERSION },
      FOPS[fop].proc,
      { ...ROOT, ...call },
      (to) => wire.request(to, args, this),
      (from) => owned(wire.reply(from, args, this)),
      wire.payload ? { bulk: wire.payload(args) } : {},
    );
  }

  /** Makes a file and opens it for reading and writing. */
  async create(name: string, gfid: Gfid, call: Partial<Call> = {}): Promise<Fd> {
    const { fd } = await this.ask("create", {
      parent: this.root,
      name,
      flags: 2,
      mode: 0o600,
      umask: 0,
      xdata: withKey(undefined, GFID_REQ, gfid),
    }, call);
    return fd;
  }

  leave(): void {
    this.connection.close("done");
  }

  inode(gfid: Gfid): Inode {
    return new Inode(gfid);
  }
  fd(): Fd {
    throw new Error("only servers look numbers up");
  }
  numberOf(fd: Fd): number {
    return this.#numbers.get(fd) ?? ANONYMOUS_FD;
  }
  adopt(number: number, inode: Inode, flags: number): Fd {
    const fd = new Fd(inode, flags);
    this.#numbers.set(fd, number);
    return fd;
  }
}

// Bulk data lives only as long as its record.
function owned<R>(reply: R): R {
  const { data } = reply as { data?: Uint8Array };
  return data ? { ...reply, data: data.slice() } : reply;
}
