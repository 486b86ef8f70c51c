/**
 * One client's connection to the brick: what it may do, its open files, and how its requests become
 * fops. Handshake procedures are in `handshake.ts`, READ's short way in `read.ts`.
 */

import type { Call, Client } from "core/call.ts";
import { CARRYING, UNLOCK_ALONG, windCarrying } from "core/carried_locks.ts";
import { EACCES, EINVAL, EIO, ENAMETOOLONG, EROFS, FopError } from "core/errno.ts";
import {
  type Args,
  type FopName,
  FOPS,
  type Fops,
  O_ACCMODE,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { Fd, type Gfid, type Inode, ROOT_GFID } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import type { Xdata } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";
import type { Credentials } from "rpc/auth.ts";
import type { Connection } from "rpc/connection.ts";
import type { Procedure, Program } from "rpc/program.ts";
import { GFX_NAME, GFX_PROGRAM, GFX_VERSION, WIRES } from "rpc/programs/gfx.ts";
import type { Request } from "rpc/request.ts";
import { ANONYMOUS_FD, type Peer, type Wire } from "rpc/wire.ts";
import { XdrError, type XdrReader } from "rpc/xdr.ts";
import { FdTable } from "xlators/protocol/server/fd_table.ts";
import { readProcedure } from "xlators/protocol/server/read.ts";
import type { Server } from "xlators/protocol/server/server.ts";
import { squash } from "xlators/protocol/server/squash.ts";
import { failureFromSubdir, seenFromSubdir } from "xlators/protocol/server/subdir.ts";

/** What a client is after it joined. */
export interface Membership {
  readonly client: Client;
  /** The brick's top layer. */
  readonly child: Xlator;
  /** As the client named it. */
  readonly brick: string;
  /** As rules about who may come in name it. */
  readonly known: string;
  /** It asked for a snapshot: nothing may be changed through it, whatever gfids it knows. */
  readonly readOnly: boolean;
  /** The directory that is its root, unless that is the volume's. */
  readonly subdir: Inode | undefined;
  /** True if it gave a user name and password that are right. */
  readonly trusted: boolean;
  readonly version: string;
  readonly processName: string;
  /** All that it said when it joined. */
  readonly given: Xdata;
}

/** How a fop's failure is written. */
type Failing = Pick<Wire<FopName>, "failure">;

const NAME_MAX = 255;
/** Directory reads answer at most about so many bytes at a time, whatever is asked for. */
const READDIR_BYTES_MAX = 1 << 20;

const WAITING_BYTES_MAX = 64 << 10;

/** Fops that wait for other clients: they do not count as work of the brick. */
const WAITING: ReadonlySet<FopName> = new Set<FopName>([
  "lk",
  "inodelk",
  "finodelk",
  "entrylk",
  "fentrylk",
]);
const OPENING: ReadonlySet<FopName> = new Set<FopName>(["open", "opendir", "create"]);

/** See the head of this file. */
export class Session implements Peer {
  readonly fds = new FdTable();
  #member: Membership | undefined;
  #child!: Fops;
  #subdirGfid: Gfid | undefined;
  // The kind of what `numberOf` is asked to number.
  #directory = false;

  /** `since` is when the client connected, in monotonic milliseconds. */
  constructor(
    readonly server: Server,
    readonly connection: Connection,
    readonly since: number,
  ) {
    connection.closed.then((reason) => this.#ended(reason));
  }

  get member(): Membership | undefined {
    return this.#member;
  }

  /** The client may send fops from now on. */
  join(member: Membership): void {
    this.#member = member;
    this.#child = member.child;
    this.#subdirGfid = member.subdir?.gfid;
    this.server.entered(this, member.client);
  }

  /** The fop program of this connection. */
  readonly program: Program = {
    number: GFX_PROGRAM,
    version: GFX_VERSION,
    name: GFX_NAME,
    procedures: this.#procedures(),
  };

  #procedures(): (Procedure | undefined)[] {
    const table: (Procedure | undefined)[] = [];
    for (const fop of Object.keys(FOPS) as FopName[]) {
      const wire = WIRES[fop] as Wire<FopName>;
      table[FOPS[fop].proc] = WAITING.has(fop)
        ? (request) => this.#serveWaiting(fop, wire, request)
        : (request) => this.serve(fop, wire, request);
    }
    table[FOPS.readv.proc] = readProcedure(this);
    table[FOPS.release.proc] = (request) => this.#release("release", request);
    table[FOPS.releasedir.proc] = (request) => this.#release("releasedir", request);
    // GlusterFS's procedure 0 of every program: nothing, answered.
    table[0] = (request) => {
      request.begin();
      request.end();
    };
    return table;
  }

  // Peer: what the codecs ask.

  inode(gfid: Gfid): Inode {
    const subdir = this.#member?.subdir;
    return subdir && gfid === ROOT_GFID ? subdir : this.server.inodeOf(gfid);
  }

  fd(number: number, gfid: Gfid, flags: number): Fd {
    if (number === ANONYMOUS_FD) return new Fd(this.inode(gfid), flags, true);
    return this.fds.get(number);
  }

  numberOf(fd: Fd): number {
    return this.fds.add(fd, this.#directory);
  }

  adopt(): Fd {
    throw new Error("Cannot adopt fd: only clients are given numbers");
  }

  // Fops.

  /** The layer below; undefined, and the request is refused, if the client did not join. */
  joined(request: Request, wire: Failing): Fops | undefined {
    if (this.#member) return this.#child;
    this.fail(request, wire, EACCES);
    return undefined;
  }

  /** Who asks. */
  callOf(credentials: Credentials): Call {
    const { server } = this;
    const who = server.squashes ? squash(credentials, server.squash, this.#member!) : credentials;
    return {
      client: this.#member!.client,
      uid: who.uid,
      gid: who.gid,
      groups: who.groups,
      pid: who.pid,
      lkOwner: who.lkOwner,
      ctime: who.ctime,
      deadline: server.deadline,
      id: server.nextCallId(),
    };
  }

  /** Serves any fop: decode, wind, answer. */
  serve<K extends FopName>(fop: K, wire: Wire<K>, request: Request): void {
    const child = this.joined(request, wire);
    if (!child) return;
    let args: Args<K>;
    try {
      args = this.#checked(fop, wire.args(request.args, this));
    } catch (error) {
      return this.fail(request, wire, error);
    }
    let answer: Promise<Reply<K>>;
    try {
      const call = this.callOf(request.credentials);
      answer = CARRYING.has(fop)
        ? windCarrying(child, fop, call, args)
        : (child[fop] as Fops[K])(call, args);
    } catch (error) {
      return this.fail(request, wire, error);
    }
    answer.then(
      (reply) => this.#answer(fop, wire, request, reply, args),
      (error) => this.fail(request, wire, error),
    ).catch((error) => this.answerFailed(fop, request, error));
  }

  #serveWaiting<K extends FopName>(fop: K, wire: Wire<K>, request: Request): void {
    // It is copied and may stay long, so it must not be large.
    if (request.args.left > WAITING_BYTES_MAX) {
      throw new XdrError(`Cannot read request: a lock of ${request.args.left} bytes`);
    }
    request.detach();
    request.park();
    this.serve(fop, wire, request);
  }

  // RELEASE and RELEASEDIR: the number is free at once, and the answer does not wait for the storage.
  // What kind of file it is, the table knows: the storage would leave one of the other kind open.
  #release(fop: "release" | "releasedir", request: Request): void {
    const wire = WIRES[fop] as Wire<typeof fop>;
    if (!this.joined(request, wire)) return;
    try {
      const number = fdNumberAt(request.args, 16);
      const args = wire.args(request.args, this);
      if (args.fd.anonymous) throw EINVAL;
      const { fd, directory } = this.fds.remove(number);
      if (!directory && args.xdata?.has(UNLOCK_ALONG)) {
        return this.#releaseAlong(request, { ...args, fd });
      }
      this.#wind(directory ? "releasedir" : "release", fd, this.callOf(request.credentials));
    } catch (error) {
      return this.fail(request, wire, error);
    }
    wire.answer(request.begin(), {}, {} as Args<typeof fop>, this);
    request.end();
  }

  // Who closes a file and gives up its lock may want it again next.
  #releaseAlong(request: Request, args: Args<"release">): void {
    const wire = WIRES.release as Wire<"release">;
    windCarrying(this.#child, "release", this.callOf(request.credentials), args).then(
      (reply) => this.#answer("release", wire, request, reply, args),
      (error) => this.fail(request, wire, error),
    ).catch((error) => this.answerFailed("release", request, error));
  }

  #wind(fop: "release" | "releasedir", fd: Fd, call: Call): void {
    this.#child[fop](call, { fd }).catch((error: unknown) => {
      this.server.log.warn("cannot release file", { fop, gfid: fd.inode.gfid, error: `${error}` });
    });
  }

  #checked<K extends FopName>(fop: K, args: Args<K>): Args<K> {
    if (OPENING.has(fop)) this.fds.check(this.server.values["fd-limit"]);
    const named = args as { name?: string; oldName?: string; newName?: string; size?: number };
    if (FOPS[fop].kind === "modify" || fop === "lookup") {
      checkName(fop, named.name);
      if (fop === "rename") checkNameSize(named.oldName!), checkNameSize(named.newName!);
    }
    if (fop === "readv" && named.size! > this.server.values["record-size-limit"]) throw EINVAL;
    if (this.#member!.readOnly && changes(fop, args)) throw EROFS;
    if ((fop === "readdir" || fop === "readdirp") && named.size! > READDIR_BYTES_MAX) {
      return { ...args, size: READDIR_BYTES_MAX };
    }
    return args;
  }

  #answer<K extends FopName>(
    fop: K,
    wire: Wire<K>,
    request: Request,
    reply: Reply<K>,
    args: Args<K>,
  ): void {
    if (OPENING.has(fop) && !this.connection.open) {
      const { fd } = reply as Reply<"open">;
      this.#wind(
        fop === "opendir" ? "releasedir" : "release",
        fd,
        this.callOf(request.credentials),
      );
      return request.drop();
    }
    this.#directory = fop === "opendir";
    const seen = this.seen(reply);
    wire.answer(request.begin((args as { size?: number }).size), seen, args, this);
    request.end(wire.bulk?.(seen));
  }

  /** A reply as this client shall see it. */
  seen<R extends object>(reply: R): R {
    return this.#subdirGfid ? seenFromSubdir(reply, this.#subdirGfid) : reply;
  }

  /** Answers a failure; what is none is our bug: logged, and EIO for the client. */
  fail(request: Request, wire: Failing, error: unknown): void {
    if (error instanceof XdrError) throw error;
    let failure = error;
    if (!(failure instanceof FopError)) {
      this.server.log.error("fop failed unexpectedly", {
        procedure: request.procedure,
        client: this.#member?.client.id,
        error: error instanceof Error ? error.stack ?? error.message : String(error),
      });
      failure = EIO;
    }
    const seen = this.#subdirGfid
      ? failureFromSubdir(failure as FopError, this.#subdirGfid)
      : failure as FopError;
    wire.failure(request.begin(), seen);
    request.end();
  }

  /** A reply that cannot be written is our bug, too; the client must not wait for ever. */
  answerFailed(fop: FopName, request: Request, error: unknown): void {
    this.server.log.error("cannot write answer", {
      fop,
      client: this.#member?.client.id,
      error: error instanceof Error ? error.stack ?? error.message : String(error),
    });
    if (!request.answered) WIRES[fop].failure(request.begin(), EIO), request.end();
  }

  #ended(reason: string): void {
    const member = this.#member;
    if (member) {
      const call: Call = { ...this.callOf(NOBODY_ASKS), client: member.client };
      for (const { fd, directory } of this.fds.clear()) {
        this.#wind(directory ? "releasedir" : "release", fd, call);
      }
    }
    this.server.left(this, reason);
  }
}

const NOBODY_ASKS = { uid: 0, gid: 0, groups: [], pid: 0, lkOwner: "" } as unknown as Credentials;

function changes(fop: FopName, args: object): boolean {
  return FOPS[fop].kind === "modify" ||
    (fop === "open" && ((args as Args<"open">).flags & (O_ACCMODE | O_TRUNC)) !== 0);
}

function checkName(fop: FopName, name: string | undefined): void {
  // An xattr's name has rules of its own, kept by the storage.
  if (name === undefined || fop === "removexattr" || fop === "fremovexattr") return;
  checkNameSize(name);
}

/** Fails with ENAMETOOLONG beyond 255 bytes. */
function checkNameSize(name: string): void {
  if (name.length * 3 <= NAME_MAX) return;
  if (name.length > NAME_MAX || encodeName(name).length > NAME_MAX) throw ENAMETOOLONG;
}

/** The number of an open file `at` bytes from where `from` stands; -1 if there is none. */
export function fdNumberAt(from: XdrReader, at: number): number {
  const { view } = from, place = from.at + at;
  if (place + 8 > from.end) throw new XdrError("Cannot read request: it ends before its fd");
  return view.getInt32(place) === 0 ? view.getUint32(place + 4) : -1;
}
