/** What a connection serves, and how the small programs declare their procedures. */

import type { Request } from "rpc/request.ts";
import type { Codec, XdrReader, XdrWriter } from "rpc/xdr.ts";

/** A program's number and version. */
export interface ProgramId {
  readonly number: number;
  readonly version: number;
}

/**
 * A program that is served. One value may serve many connections, or each connection has its own
 * with state (`ListenerOptions.programs`).
 */
export interface Program extends ProgramId {
  /** As DUMP lists it. */
  readonly name: string;
  /** By procedure number; what is missing is answered with PROC_UNAVAIL. */
  readonly procedures: readonly (Procedure | undefined)[];
}

/**
 * Serves one call: reads `request.args` before it returns, and answers exactly once, now or later.
 * What it throws, or rejects with: XdrError closes the connection with a log line; anything else is
 * logged and answered with SYSTEM_ERR.
 */
export type Procedure = (request: Request) => void | Promise<void>;

/** A procedure as both ends see it: its number, and what it takes and answers. */
export interface Signature<A, R> extends ProgramId {
  readonly procedure: number;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
}

/** The serving end of `signature`. `handle` may wait; its args must not point into the record. */
export function serve<A, R>(
  signature: Signature<A, R>,
  handle: (args: A, request: Request) => R | Promise<R>,
): Procedure {
  return (request) => {
    const answer = handle(signature.args.read(request.args), request);
    if (answer instanceof Promise) {
      return answer.then((result) => reply(request, signature.result, result));
    }
    reply(request, signature.result, answer);
  };
}

function reply<R>(request: Request, result: Codec<R>, value: R): void {
  result.write(request.begin(), value);
  request.end();
}

/** Procedure 0 of every program: nothing, answered (RFC 5531 §12). */
export const NULL_PROCEDURE: readonly [0, Procedure] = [0, (request) => {
  request.begin();
  request.end();
}];

/** A table of procedures from their signatures and handlers. */
export function procedures(
  list: readonly (readonly [number, Procedure])[],
): readonly (Procedure | undefined)[] {
  const table: (Procedure | undefined)[] = [];
  for (const [number, procedure] of list) table[number] = procedure;
  return table;
}

/** Nothing on the wire. */
export const nothing: Codec<undefined> = {
  write(_to: XdrWriter) {},
  read(_from: XdrReader) {
    return undefined;
  },
};
