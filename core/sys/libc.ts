/**
 * The same system calls through libc's `syscall`, where code may not be mapped from memory (a
 * security module, `noexec`). libc answers -1 and keeps the error number for the thread that
 * called: after a call on this thread it is read from there. A call on a thread of the pool that
 * failed is made once more on this one to learn why, which may take as long as the call does; if
 * it succeeds then, that is the answer.
 */

import { type Machine, type Syscall, SYSCALL_NUMBERS } from "core/sys/numbers.ts";
import { STUB_PREFIX } from "core/sys/stubs.ts";

/** A call as `core/sys/calls.ts` declares it. */
export interface CallShape {
  readonly name: string;
  readonly parameters: readonly Deno.NativeType[];
  readonly result: "i32" | "i64";
  readonly nonblocking?: true;
}

type Answer = number | bigint;
type Native = (...args: unknown[]) => Answer | Promise<Answer>;

/** Functions for `shapes`, each answering `-errno` on failure. Throws if there is no glibc. */
export function openLibc(
  shapes: Readonly<Record<string, CallShape>>,
): Record<string, (...args: unknown[]) => Answer | Promise<Answer>> {
  const numbers = SYSCALL_NUMBERS[Deno.build.arch as Machine];
  const wanted: Record<string, Deno.ForeignFunction> = {};
  for (const [key, { parameters, result, nonblocking }] of Object.entries(shapes)) {
    const shape = {
      name: "syscall",
      parameters: ["i64", ...parameters] as Deno.NativeType[],
      result,
    };
    wanted[key] = shape;
    if (nonblocking) wanted[pool(key)] = { ...shape, nonblocking };
  }
  const functions = Deno.dlopen("libc.so.6", wanted).symbols as unknown as Record<string, Native>;
  const error = thisThreadsError();
  const calls: Record<string, (...args: unknown[]) => Answer | Promise<Answer>> = {};
  for (const [key, { name, nonblocking }] of Object.entries(shapes)) {
    const number = numbers[name.slice(STUB_PREFIX.length) as Syscall];
    const here = functions[key] as (...args: unknown[]) => Answer;
    const now = (...args: unknown[]) => {
      const answer = here(number, ...args);
      if (answer === -1) return -error.getInt32();
      return answer === -1n ? BigInt(-error.getInt32()) : answer;
    };
    const there = functions[pool(key)];
    calls[key] = nonblocking && there
      ? async (...args) => {
        const answer = await there(number, ...args);
        return answer === -1 ? now(...args) : answer;
      }
      : now;
  }
  return calls;
}

function pool(key: string): string {
  return `${key} in the pool`;
}

function thisThreadsError(): Deno.UnsafePointerView {
  const { symbols } = Deno.dlopen("libc.so.6", {
    __errno_location: { parameters: [], result: "pointer" },
  });
  const at = symbols.__errno_location();
  if (!at) throw new Error("Cannot make system calls: libc has no error number");
  return new Deno.UnsafePointerView(at);
}
