/** How far a volume has come in receiving a stream of a snapshot: what a receiver leaves behind. */

import type { Json } from "core/xlator.ts";
import { fields, text } from "mgmt/records.ts";
import type { Store } from "mgmt/store/store.ts";

/** Keys in the store. */
export const RECEIVED_KEYS = {
  of: (volume: string) => `volume-received/${volume}`,
  all: "volume-received/",
} as const;

/** A place in a stream: which one, its operation, and a byte of that one's file. */
export interface Token {
  /** 16 hexadecimal digits. */
  readonly stream: string;
  /** Operations that are done. */
  readonly done: number;
  /** Bytes of the next one that are done. */
  readonly offset: number;
}

/** "STREAM.DONE.OFFSET". */
export function tokenText({ stream, done, offset }: Token): string {
  return `${stream}.${done}.${offset}`;
}

/** The inverse. Throws RangeError. */
export function parseToken(word: string): Token {
  const [, stream, ...numbers] = /^([0-9a-f]{16})\.(\d{1,15})\.(\d{1,15})$/.exec(word) ?? [];
  if (stream === undefined) throw new RangeError("expected what snapshot received tells");
  const [done, offset] = numbers.map(Number);
  return { stream, done: done!, offset: offset! };
}

/** A word that is the id of a snapshot. Throws RangeError. */
export function snapshotId(word: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(word)) return word;
  throw new RangeError("expected the id of a snapshot, as snapshot info tells it");
}

/** The token that `value` has. Throws RangeError. */
export function receivedRecord(value: unknown): Token {
  return parseToken(text(fields(value, "place in a stream"), "token"));
}

/** How far a volume has come; undefined: it is receiving nothing. */
export async function receivedOf(
  { store }: { readonly store: Store },
  volume: string,
): Promise<Token | undefined> {
  const value = await store.get(RECEIVED_KEYS.of(volume));
  return value === undefined ? undefined : receivedRecord(value);
}

/** Notes it; undefined: it is receiving nothing any more. */
export async function noteReceived(
  { store }: { readonly store: Store },
  volume: string,
  token: Token | undefined,
): Promise<void> {
  const key = RECEIVED_KEYS.of(volume);
  await store.transact((transaction) => {
    if (token) transaction.put(key, { token: tokenText(token) } satisfies Json);
    else transaction.delete(key);
    return Promise.resolve();
  });
}
