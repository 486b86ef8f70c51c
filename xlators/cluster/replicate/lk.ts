/**
 * Locks of applications and of layers above: on all copies that are up, or on none. A lock that
 * somebody else has in the way on one copy is given back on the others.
 */

import type { Call } from "core/call.ts";
import { EAGAIN, EINTR, ENOTCONN, type FopError } from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import { settle, type Settled } from "core/xlator.ts";
import { type Copies, failureOf, isTaken } from "xlators/cluster/replicate/copies.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";

/** A lock of a layer above, as its fop: how it is taken at once, as asked, and given back. */
export interface LayerLock<R> {
  readonly isUnlock: boolean;
  tryOn(index: number): Promise<R>;
  askOn(index: number): Promise<R>;
  dropOn(index: number): Promise<R>;
}

/** Takes or gives back a layer's lock. */
export async function layerLock<R>(copies: Copies, lock: LayerLock<R>): Promise<R> {
  const up = copies.numbers().filter((index) => copies.up[index]);
  if (!up.length) throw ENOTCONN;
  if (lock.isUnlock) return anyOf(await settle(up.map((index) => lock.askOn(index))));
  const first = await settle(up.map((index) => lock.tryOn(index)));
  if (!first.some((answer) => !answer.ok && isTaken(answer.error))) {
    return await enough(copies, up, first, lock);
  }
  await giveBack(up, first, lock);
  // One after the other, also if it is only tried: of two that try, one shall have it.
  const answers: Settled<R>[] = [];
  for (const index of up) {
    const [answer] = await settle([lock.askOn(index)]);
    answers.push(answer!);
    if (answer!.ok || !isTaken(answer!.error)) continue;
    await giveBack(up, answers, lock);
    throw answer!.error;
  }
  return await enough(copies, up, answers, lock);
}

async function enough<R>(
  copies: Copies,
  up: readonly number[],
  answers: readonly Settled<R>[],
  lock: LayerLock<R>,
): Promise<R> {
  const has = copies.numbers().map((index) => answers[up.indexOf(index)]?.ok === true);
  if (has.includes(true) && (!copies.quorumOn || copies.hasQuorum(has))) return anyOf(answers);
  await giveBack(up, answers, lock);
  throw failureOf(answers) ?? ENOTCONN;
}

async function giveBack<R>(
  up: readonly number[],
  answers: readonly Settled<R>[],
  lock: LayerLock<R>,
): Promise<void> {
  await Promise.allSettled(
    up.filter((_, at) => answers[at]?.ok).map((index) => lock.dropOn(index)),
  );
}

/** The first good answer, or why there is none. */
export function anyOf<R>(answers: readonly (Settled<R> | undefined)[]): R {
  for (const answer of answers) if (answer?.ok) return answer.value;
  throw failureOf(answers) ?? ENOTCONN;
}

/**
 * A POSIX lock: one copy after the other, so that of two who wait each gets it in turn. Calls `undone`
 * for each copy on which a lock that is refused took away what its owner had in the range before.
 */
export async function posixLock(
  copies: Copies,
  opened: OpenCopies,
  call: Call,
  args: Args<"lk">,
  undone: (index: number) => Promise<void>,
): Promise<Reply<"lk">> {
  const { fd, cmd, lock } = args;
  const isUnlock = lock.type === "unlock", asks = cmd === "get" || cmd === "get-fd";
  await opened.complete(call, fd);
  if (!isUnlock) copies.checkQuorum();
  const answers: (Settled<Reply<"lk">> | undefined)[] = copies.all.map(() => undefined);
  const where = opened.where(fd);
  for (const index of copies.numbers()) {
    // What is away takes locks that it had again when it is back: it must know which are given up.
    if (!where[index] || !copies.up[index] && !isUnlock) continue;
    const to = copies.all[index]!;
    const own = { ...args, fd: opened.on(fd, index) };
    const [answer] = await settle([to.lk(call, own)]);
    answers[index] = answer;
    if (asks && answer!.ok && answer!.value.lock.type !== "unlock") return answer!.value;
    if (!answer!.ok && isRefused(answer!.error) && !asks && !isUnlock) {
      await undo(copies, opened, call, args, answers, undone);
      throw answer!.error;
    }
  }
  if (asks || isUnlock) return anyOf(answers);
  const has = answers.map((answer) => answer?.ok === true);
  if (has.includes(true) && (!copies.quorumOn || copies.hasQuorum(has))) return anyOf(answers);
  await undo(copies, opened, call, args, answers, undone);
  throw failureOf(answers) ?? ENOTCONN;
}

function isRefused(error: FopError): boolean {
  return EAGAIN.matches(error) || EINTR.matches(error);
}

async function undo(
  copies: Copies,
  opened: OpenCopies,
  call: Call,
  args: Args<"lk">,
  answers: readonly (Settled<Reply<"lk">> | undefined)[],
  undone: (index: number) => Promise<void>,
): Promise<void> {
  const lock = { ...args.lock, type: "unlock" } as const;
  await settle(
    copies.numbers().filter((index) => answers[index]?.ok).map((index) =>
      copies.all[index]!.lk(call, { fd: opened.on(args.fd, index), cmd: "set", lock })
    ),
  );
  for (const [index, answer] of answers.entries()) {
    // Who has to wait drops what he has there, and does not get it back if he gives up.
    if (answer?.ok || answer && args.cmd === "set-wait") await undone(index);
  }
}
