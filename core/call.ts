/** Who asks, and until when. One request makes one `Call`; it goes through all layers unchanged. */

/** Owner of a lock as the client names it: opaque bytes, here as hexadecimal text. Empty: none. */
export type LkOwner = string & { readonly __brand: "LkOwner" };

export const NO_OWNER = "" as LkOwner;

/** A connected peer. Locks, fds and upcalls are kept by client; compare by identity. */
export interface Client {
  /** Unique text for people: what the client called itself, and its address. */
  readonly id: string;
  /** Peer address as text, without port; "" for a unix socket or inside a process. */
  readonly address: string;
}

/** Who asks and until when. Immutable: a layer that acts for itself derives one, `{ ...call, pid: -6 }`. */
export interface Call {
  readonly client: Client;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, `gid` not among them as a rule. */
  readonly groups: readonly number[];
  /** Process at the client; negative for daemons, see `isInternal`. */
  readonly pid: number;
  readonly lkOwner: LkOwner;
  /** When the client says the fop happened; set only if `features/utime` is in its graph. */
  readonly ctime?: { readonly sec: number; readonly nsec: number } | undefined;
  /** Monotonic milliseconds (`env.clock.monotonic()`) after which nobody waits; Infinity: never. */
  readonly deadline: number;
  /** Short number for logs and traces. */
  readonly id: number;
}

/** Process numbers of GlusterFS's own daemons. */
export const PID_GSYNCD = -1;
export const PID_REBALANCE = -3;
export const PID_NO_ROOT_SQUASH = -4;
export const PID_SELF_HEAL = -6;
export const PID_GLFSHEAL = -7;
export const PID_SERVER_TRASH = -11;
export const PID_SET_UTIME = -13;

/** True for our own daemons and GlusterFS's (heal, rebalance, …): they may change what applications may not. */
export function isInternal(call: Call): boolean {
  return call.pid < 0;
}

const inside: Client = { id: "inside", address: "" };

/** The superuser inside this process: what layers derive calls of their own from, and tests use. */
export const ROOT: Call = {
  client: inside,
  uid: 0,
  gid: 0,
  groups: [],
  pid: 0,
  lkOwner: NO_OWNER,
  deadline: Infinity,
  id: 0,
};
