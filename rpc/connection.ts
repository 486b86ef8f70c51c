/**
 * One connection, either end: sends calls and callbacks, receives calls and serves them.
 *
 * Reading: one read at a time straight into a block (`RecordStream`); every complete record of it is
 * dispatched before the next read. Calls are served at once and answered whenever they are ready, in
 * any order. Sending (`Outbound`): what became ready in one turn leaves in one write.
 *
 * Bounds. Calls under way are limited in number and in bytes (records kept plus replies reserved), and so are
 * bytes waiting to be sent: at a limit the connection is not read until it falls below. A peer that
 * takes nothing for `stallMs` while something waits for it is dropped. Calls that wait for other
 * callers (blocked locks) are `park`ed and have a limit of their own.
 *
 * Malformed input ends the connection, with one line in the log, and no other.
 */

import type { Env } from "core/env.ts";
import { ENOTCONN, ETIMEDOUT } from "core/errno.ts";
import { afterPromises } from "core/sys/turns.ts";
import {
  AUTH_GLUSTERFS_V2,
  AUTH_NONE,
  CredentialMemo,
  type Credentials,
  NOBODY,
  ROOT_CREDENTIALS,
  writeCredentials,
} from "rpc/auth.ts";
import {
  ACCEPT,
  CALL,
  CallHead,
  readReplyHead,
  REPLY,
  writeCallHead,
  writeNoAuth,
} from "rpc/message.ts";
import { Outbound } from "rpc/outbound.ts";
import type { Program, ProgramId, Signature } from "rpc/program.ts";
import { RECORD_BYTES_MAX, RecordStream } from "rpc/record.ts";
import { Request } from "rpc/request.ts";
import type { PeerAddress, Transport } from "rpc/transport.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** What a connection serves, and its bounds. What is left out has a default that suits a brick. */
export interface ConnectionOptions {
  /** What the peer may call. Replaceable later: `serves`. */
  readonly programs?: readonly Program[] | undefined;
  /** Largest record accepted, in bytes. */
  readonly recordBytesMax?: number | undefined;
  /** Calls of the peer's under way before reading stops. */
  readonly callsMax?: number | undefined;
  /** Bytes of calls under way before reading stops; one call is always served. */
  readonly callBytesMax?: number | undefined;
  /** Bytes waiting to be sent before reading stops. At four times as many the connection is dropped. */
  readonly outboundBytesMax?: number | undefined;
  /** Parked calls, and bytes of their records, at which the connection is dropped. */
  readonly parkedMax?: number | undefined;
  readonly parkedBytesMax?: number | undefined;
  /** Our calls without an answer before the next one waits. */
  readonly windowMax?: number | undefined;
  /** Milliseconds that a peer may take nothing before it is dropped. */
  readonly stallMs?: number | undefined;
}

const DEFAULTS = {
  recordBytesMax: RECORD_BYTES_MAX,
  callsMax: 256,
  callBytesMax: 16 << 20,
  outboundBytesMax: 8 << 20,
  parkedMax: 4096,
  parkedBytesMax: 32 << 20,
  windowMax: 4096,
  stallMs: 42_000,
};

/** A peer must read callbacks, too: they are sent without being asked for. */
const OUTBOUND_DROP_FACTOR = 4;
/** Deadlines and stalls are looked at this often. */
const TICK_MS = 1000;
/**
 * How much is served in one turn before other connections get theirs: bytes of requests and replies,
 * and so many for each call. 32 reads of 1 MiB at once would keep the others waiting for 20 ms.
 */
const TURN_BYTES = 1 << 20;
const CALL_COST = 16 << 10;
/**
 * Turns of the microtask queue that answers of one turn have, to be ready and leave together, where it
 * is not known when they are.
 */
const HOPS = 12;
/** And so many has who was lent a result, to give it back before more is read. */
const LENT_HOPS = 32;
const SETTLED = Promise.resolve();

/** Details of one call of ours. */
export interface CallOptions {
  /** Bulk data behind the arguments; borrowed until the promise settles. */
  readonly bulk?: Uint8Array | undefined;
  /** Monotonic milliseconds after which the call fails with ETIMEDOUT. */
  readonly deadline?: number | undefined;
}

/** What a result lies in: it stays as long as somebody holds it. */
export interface Held {
  hold(): void;
  /** Once for each `hold`. */
  release(): void;
}

interface Pending {
  readonly read: (from: XdrReader, record: Held) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly deadline: number;
}

/** What a statedump shows of a connection. */
export interface ConnectionState {
  readonly peer: string;
  readonly callsServed: number;
  readonly callsUnderWay: number;
  readonly callBytes: number;
  readonly parked: number;
  readonly callsMade: number;
  readonly awaited: number;
  readonly outboundBytes: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** See the head of this file. */
export class Connection {
  readonly peer: PeerAddress;
  /** Resolves once with the reason, when the connection ended, whoever ended it. */
  readonly closed: Promise<string>;
  /** Flavor of the credentials in our calls. */
  flavor: number = AUTH_GLUSTERFS_V2;
  readonly #env: Env;
  readonly #transport: Transport;
  readonly #options: typeof DEFAULTS;
  readonly #stream: RecordStream;
  readonly #outbound = new Outbound();
  readonly #head = new CallHead();
  readonly #memo = new CredentialMemo();
  readonly #pending = new Map<number, Pending>();
  readonly #owner;
  readonly #hop = () => this.#hopped();
  readonly #flush = () => this.#flushed();
  readonly #timer;
  #programs: readonly Program[];
  #lastProgram: Program | undefined;
  #open = true;
  #settleClosed!: (reason: string) => void;
  #resume: (() => void) | undefined;
  #slots: (() => void)[] = [];
  #xid = 0;
  #calls = 0;
  #callBytes = 0;
  #parked = 0;
  #parkedBytes = 0;
  #served = 0;
  #received = 0;
  #sent = 0;
  #dispatching = false;
  // A result of this turn is held.
  #lent = false;
  // What may still be served in this turn; the next begins when something was sent, or nothing is to be.
  #turnLeft = TURN_BYTES;
  #draining: (() => void) | undefined;
  #idle: (() => void)[] = [];
  #writing = false;
  #hopsLeft = 0;
  #sentAtTick = -1;
  #stalledSince = 0;

  /** Takes `transport` over and begins to read. */
  constructor(transport: Transport, env: Env, options: ConnectionOptions = {}) {
    this.#transport = transport;
    this.#env = env;
    this.peer = transport.peer;
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.#options = { ...DEFAULTS, ...Object.fromEntries(given) };
    this.#programs = options.programs ?? [];
    this.#stream = new RecordStream(this.#options.recordBytesMax);
    this.closed = new Promise((resolve) => this.#settleClosed = resolve);
    this.#owner = {
      connection: this,
      outbound: this.#outbound,
      answered: (request: Request, sends: boolean) => this.#answered(request, sends),
      weigh: (bytes: number) => {
        this.#callBytes += bytes;
        this.#turnLeft -= bytes;
      },
      parked: (request: Request) => this.#park(request),
    };
    this.#timer = env.clock.every(TICK_MS, () => this.#tick());
    this.#readAll();
  }

  /** False once it is closed: answers go nowhere, calls fail with ENOTCONN. */
  get open(): boolean {
    return this.#open;
  }

  /** What the peer may call from now on. */
  set programs(programs: readonly Program[]) {
    this.#programs = programs;
    this.#lastProgram = undefined;
  }
  get programs(): readonly Program[] {
    return this.#programs;
  }

  /** Largest record accepted; a peer that is known may send more than one that is not. */
  set recordBytesMax(bytes: number) {
    this.#stream.recordBytesMax = bytes;
  }

  /**
   * Calls the peer. `write` puts the arguments, `read` takes the result, whose views live only until
   * it returns, or as long as it holds what they lie in. Fails with ENOTCONN if the connection is or gets closed, ETIMEDOUT at the deadline,
   * RpcError if the peer did not carry the call out, and with what `read` throws.
   */
  call<T>(
    to: ProgramId,
    procedure: number,
    credentials: Credentials,
    write: (to: XdrWriter) => void,
    read: (from: XdrReader, record: Held) => T,
    options: CallOptions = {},
  ): Promise<T> {
    if (!this.#open) return Promise.reject(ENOTCONN);
    if (this.#pending.size >= this.#options.windowMax) {
      return new Promise<void>((resolve) => this.#slots.push(resolve)).then(() =>
        this.call(to, procedure, credentials, write, read, options)
      );
    }
    return new Promise<T>((resolve, reject) => {
      const xid = this.#nextXid();
      this.#send(to, procedure, xid, credentials, write, options.bulk);
      this.#pending.set(xid, {
        read,
        resolve: resolve as (value: unknown) => void,
        reject,
        deadline: options.deadline ?? Infinity,
      });
    });
  }

  /** Calls by signature, as the superuser of this process. */
  ask<A, R>(signature: Signature<A, R>, args: A, options: CallOptions = {}): Promise<R> {
    return this.call(
      signature,
      signature.procedure,
      ROOT_CREDENTIALS,
      (to) => signature.args.write(to, args),
      (from) => signature.result.read(from),
      options,
    );
  }

  /** Sends a callback: a call that gets no answer. */
  notify<A>(signature: Signature<A, undefined>, args: A): void {
    if (!this.#open) return;
    const write = (to: XdrWriter) => signature.args.write(to, args);
    this.#send(signature, signature.procedure, this.#nextXid(), undefined, write, undefined);
  }

  /** Ends the connection. What waits for an answer fails with ENOTCONN. Harmless when repeated. */
  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#timer.cancel();
    this.#transport.close();
    this.#outbound.clear();
    this.#resume?.();
    this.#draining?.();
    for (const pending of this.#pending.values()) pending.reject(ENOTCONN);
    this.#pending.clear();
    for (const slot of this.#slots.splice(0)) slot();
    this.#settleClosed(reason);
  }

  /** Reads no more calls, and resolves when all that are under way (parked ones aside) are answered. */
  async drain(): Promise<void> {
    if (!this.#open) return;
    const drained = new Promise<void>((resolve) => this.#draining = resolve);
    this.#checkDrained();
    await drained;
  }

  /** Resolves when none of the peer's calls is under way (parked ones aside), open or closed. */
  idle(): Promise<void> {
    if (this.#calls === 0) return SETTLED;
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  state(): ConnectionState {
    return {
      peer: this.peer.text,
      callsServed: this.#served,
      callsUnderWay: this.#calls,
      callBytes: this.#callBytes,
      parked: this.#parked,
      callsMade: this.#xid,
      awaited: this.#pending.size,
      outboundBytes: this.#outbound.bytes,
      bytesReceived: this.#received,
      bytesSent: this.#sent,
    };
  }

  // Reading.

  get #full(): boolean {
    return this.#calls >= this.#options.callsMax ||
      this.#callBytes >= this.#options.callBytesMax ||
      this.#outbound.bytes >= this.#options.outboundBytesMax || this.#turnLeft <= 0 ||
      this.#draining !== undefined;
  }

  #nextTurn(): void {
    if (this.#turnLeft > 0) return;
    this.#turnLeft = TURN_BYTES;
    this.#resumeReading();
  }

  async #readAll(): Promise<void> {
    try {
      for (;;) {
        this.#dispatch();
        while (this.#open && this.#full) {
          await new Promise<void>((resolve) => this.#resume = resolve);
          this.#resume = undefined;
          if (this.#open) this.#dispatch();
        }
        if (this.#lent) await this.#returned();
        if (!this.#open) break;
        const count = await this.#transport.read(this.#stream.space());
        if (!this.#open) break;
        if (count === null) {
          this.close("peer closed the connection");
          break;
        }
        this.#received += count;
        this.#turnLeft = TURN_BYTES;
        this.#stream.filled(count);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stream.close();
    }
  }

  // Whoever was lent a result mostly gives it back in this turn: the next bytes go where the processor
  // still has these.
  async #returned(): Promise<void> {
    this.#lent = false;
    for (let hops = LENT_HOPS; hops > 0 && !this.#stream.block.sole; hops--) await SETTLED;
  }

  #dispatch(): void {
    this.#dispatching = true;
    try {
      while (this.#open && !this.#full && this.#stream.next()) this.#record();
    } finally {
      this.#dispatching = false;
    }
    this.#flushSoon();
  }

  #record(): void {
    const { block, at, to } = this.#stream;
    const from = block.reader;
    from.at = at;
    from.end = to;
    const xid = from.u32(), type = from.u32();
    if (type === CALL) this.#serve(from, xid, to - at);
    else if (type === REPLY) this.#reply(from, xid);
    else throw new XdrError(`Cannot read message of type ${type}`);
  }

  #serve(from: XdrReader, xid: number, size: number): void {
    const head = this.#head;
    head.read(from, xid);
    const credentials = this.#memo.read(
      head.flavor,
      from.bytes,
      from.view,
      head.bodyAt,
      head.bodySize,
    );
    const { block } = this.#stream;
    const request = new Request(this.#owner, xid, head.procedure, credentials, from, block, size);
    this.#served++;
    this.#calls++;
    this.#callBytes += size;
    this.#turnLeft -= size + CALL_COST;
    const program = this.#program(head.program, head.version);
    if (!program) return this.#refuseProgram(request, head.program);
    const procedure = program.procedures[head.procedure];
    if (!procedure) return request.refuse(ACCEPT.PROC_UNAVAIL);
    try {
      const later = procedure(request);
      if (later) later.catch((error) => this.#procedureFailed(request, program, error));
    } catch (error) {
      this.#procedureFailed(request, program, error);
    }
  }

  #program(number: number, version: number): Program | undefined {
    const last = this.#lastProgram;
    if (last && last.number === number && last.version === version) return last;
    return this.#lastProgram = this.#programs.find((each) =>
      each.number === number && each.version === version
    );
  }

  #refuseProgram(request: Request, number: number): void {
    const versions = this.#programs.filter((each) => each.number === number)
      .map((each) => each.version);
    if (!versions.length) return request.refuse(ACCEPT.PROG_UNAVAIL);
    request.refuse(ACCEPT.PROG_MISMATCH, Math.min(...versions), Math.max(...versions));
  }

  // A procedure failed in a way that is not part of its program.
  #procedureFailed(request: Request, program: Program, error: unknown): void {
    if (error instanceof XdrError) {
      if (!request.answered) request.drop();
      return this.#fail(error);
    }
    this.#env.log.error("call failed unexpectedly", {
      program: program.name,
      procedure: request.procedure,
      peer: this.peer.text,
      error: error instanceof Error ? error.stack ?? error.message : String(error),
    });
    if (!request.answered) request.refuse(ACCEPT.SYSTEM_ERR);
  }

  #reply(from: XdrReader, xid: number): void {
    const pending = this.#pending.get(xid);
    // Late: its caller gave up at the deadline.
    if (!pending) return;
    this.#pending.delete(xid);
    this.#slots.shift()?.();
    try {
      readReplyHead(from);
      const { block } = this.#stream;
      pending.resolve(pending.read(from, block));
      this.#lent ||= !block.sole;
    } catch (error) {
      pending.reject(error);
      if (error instanceof XdrError) throw error;
    }
  }

  // Answers.

  #park(request: Request): void {
    const { parkedMax, parkedBytesMax } = this.#options;
    this.#parked++;
    this.#parkedBytes += request.bytes;
    this.#calls--;
    this.#callBytes -= request.bytes;
    if (this.#parked > parkedMax || this.#parkedBytes > parkedBytesMax) {
      const found = `${this.#parked} calls of ${this.#parkedBytes} bytes wait for others`;
      this.#fail(new XdrError(`${found}: at most ${parkedMax} of ${parkedBytesMax} may`));
    }
    this.#resumeReading();
  }

  #answered(request: Request, sends: boolean): void {
    if (request.parked) {
      this.#parked--;
      this.#parkedBytes -= request.bytes;
    } else {
      this.#calls--;
      this.#callBytes -= request.bytes;
      if (this.#calls === 0 && this.#idle.length) {
        for (const idle of this.#idle.splice(0)) idle();
      }
    }
    if (!this.#open) return;
    if (sends && !this.#dispatching) this.#flushSoon();
    this.#resumeReading();
    this.#checkDrained();
  }

  #resumeReading(): void {
    if (this.#resume && !this.#full) this.#resume();
  }

  #checkDrained(): void {
    if (this.#draining && this.#calls === 0 && this.#outbound.empty && !this.#writing) {
      this.#draining();
    }
  }

  // Sending.

  // A call may wait longer than it takes to use up all numbers.
  #nextXid(): number {
    do this.#xid = (this.#xid + 1) >>> 0; while (this.#pending.has(this.#xid));
    return this.#xid;
  }

  #send(
    to: ProgramId,
    procedure: number,
    xid: number,
    credentials: Credentials | undefined,
    write: (to: XdrWriter) => void,
    bulk: Uint8Array | undefined,
  ): void {
    const outbound = this.#outbound, writer = outbound.begin(4);
    writeCallHead(writer, xid, to.number, to.version, procedure);
    writeCredentials(writer, credentials ? this.flavor : AUTH_NONE, credentials ?? NOBODY);
    writeNoAuth(writer);
    write(writer);
    const size = writer.at - outbound.begun - 4 + (bulk?.length ?? 0);
    writer.view.setUint32(outbound.begun, 0x80000000 + size);
    outbound.end(bulk);
    if (outbound.bytes > this.#options.outboundBytesMax * OUTBOUND_DROP_FACTOR) {
      return this.#fail(new XdrError("peer does not read what it is sent"));
    }
    if (!this.#dispatching) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#writing || this.#hopsLeft > 0) return;
    if (this.#outbound.empty && this.#turnLeft > 0) return;
    this.#hopsLeft = HOPS;
    if (!afterPromises(this.#flush)) SETTLED.then(this.#hop);
  }

  // Lets other answers of this turn get ready, unless none is awaited. Calls of ours wait as long: an
  // application whose write was answered before it is sent goes on while it is.
  #hopped(): void {
    if (--this.#hopsLeft > 0 && (this.#calls > 0 || this.#pending.size > 0)) {
      return void SETTLED.then(this.#hop);
    }
    this.#flushed();
  }

  #flushed(): void {
    this.#hopsLeft = 0;
    if (this.#writing || !this.#open) return;
    if (this.#outbound.empty) this.#nextTurn();
    else this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    try {
      for (;;) {
        const segment = this.#outbound.take();
        if (!segment) break;
        let { from } = segment;
        while (from < segment.to) {
          const count = await this.#transport.write(segment.bytes.subarray(from, segment.to));
          from += count;
          this.#sent += count;
        }
        this.#outbound.sent(segment);
        this.#nextTurn();
        this.#resumeReading();
        if (!this.#open) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#writing = false;
    this.#checkDrained();
  }

  // Ends.

  #fail(error: unknown): void {
    if (!this.#open) return;
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof XdrError) {
      this.#env.log.warn("connection closed: peer broke the protocol", {
        peer: this.peer.text,
        reason,
      });
    } else if (!isDisconnect(error)) {
      this.#env.log.error("connection closed: unexpected failure", {
        peer: this.peer.text,
        reason: error instanceof Error ? error.stack ?? reason : reason,
      });
    }
    this.close(reason);
  }

  #tick(): void {
    const now = this.#env.clock.monotonic();
    for (const [xid, pending] of this.#pending) {
      if (now < pending.deadline) continue;
      this.#pending.delete(xid);
      this.#slots.shift()?.();
      pending.reject(ETIMEDOUT);
    }
    if (!this.#writing || this.#sent !== this.#sentAtTick) {
      this.#sentAtTick = this.#sent;
      this.#stalledSince = now;
    } else if (now - this.#stalledSince >= this.#options.stallMs) {
      this.#env.log.warn("connection closed: peer does not read", {
        peer: this.peer.text,
        seconds: Math.round(this.#options.stallMs / 1000),
        waiting: this.#outbound.bytes,
      });
      this.close("peer does not read");
    }
  }
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.TimedOut;
}
