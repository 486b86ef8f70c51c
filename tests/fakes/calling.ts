/** System calls that do something else for a while. */

import { type Sys, sys } from "core/sys/calls.ts";

/** Until it is disposed of these calls are made in place of the system's. */
export function calling(calls: Partial<Sys>): Disposable {
  const before = { ...sys };
  Object.assign(sys, calls);
  return { [Symbol.dispose]: () => void Object.assign(sys, before) };
}

/** Which file a descriptor is of. */
export function pathOf(fd: number): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd}`);
}
