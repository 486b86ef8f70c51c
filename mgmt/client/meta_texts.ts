/** Texts of files in `.meta`, in GlusterFS's forms. */

import { type FopName, FOPS } from "core/fops.ts";
import type { Json } from "core/xlator.ts";
import type { Latency, UnderWay } from "mgmt/client/measurement.ts";
import { stateSection } from "mgmt/statedump.ts";

/** One value with a name, as JSON. */
export function dictText(name: string, value: string): string {
  return `${JSON.stringify({ [name]: value }, undefined, 1)}\n`;
}

/** What a layer tells of itself. Switches are numbers there: scripts look for "connected = 1". */
export function stateText(state: Json): string {
  const { entries } = stateSection("", state);
  return Array.from(entries, ([key, value]) => `${key} = ${shown(value)}\n`)
    .join("");
}

function shown(value: string | number | boolean): string {
  return String(typeof value === "boolean" ? Number(value) : value);
}

/**
 * Calls under way, as JSON: how many requests of the kernel `mount` says that there are, and where
 * they are, of those that came while that was measured.
 */
export function framesText(underWay: readonly UnderWay[], mount: Json): string {
  const calls = Map.groupBy(underWay, ({ call }) => call.id);
  const stacks = Array.from(calls.values(), (frames, index) => {
    const [first] = frames as [UnderWay, ...UnderWay[]];
    const { uid, gid, lkOwner, id } = first.call;
    return {
      Number: index + 1,
      Frame: frames.map(({ layer, since }, i) => ({
        Number: i + 1,
        Xlator: layer,
        Creation_time: since / 1000,
        Complete: 0,
      })),
      Unique: id,
      Type: FOPS[first.fop].label,
      UID: uid,
      GID: gid,
      LK_owner: lkOwner,
    };
  });
  const { underWay: count } = (mount ?? {}) as { readonly underWay?: number };
  const all = { Stack: stacks, Call_Count: Math.max(stacks.length, count ?? 0) };
  return `${JSON.stringify(all, undefined, 1)}\n`;
}

/** What the fops of a layer took; times in nanoseconds. */
export function profileText(
  layer: string,
  latencies: ReadonlyMap<FopName, Readonly<Latency>>,
): string {
  const nanoseconds = (ms: number) => Math.round(ms * 1e6);
  const lines = Array.from(latencies, ([fop, { count, total, min, max }]) => {
    const average = (nanoseconds(total) / count).toFixed(6);
    return `${layer}.latency.${FOPS[fop].label} = AVG:${average} CNT:${count} ` +
      `TOTAL:${nanoseconds(total)} MIN:${nanoseconds(min)} MAX:${nanoseconds(max)}\n`;
  });
  return `[${layer}.latency]\n${lines.join("")}`;
}

/**
 * Memory of the program, in bytes, by the names of mallinfo(3) where there is something of that
 * meaning: what was taken from the system for objects, of that in use and free, and what lies beside.
 */
export function memoryText({ rss, heapTotal, heapUsed, external }: Deno.MemoryUsage): string {
  const figures = {
    mallinfo_arena: heapTotal,
    mallinfo_hblkhd: external,
    mallinfo_uordblks: heapUsed,
    mallinfo_fordblks: heapTotal - heapUsed,
    resident: rss,
  };
  const lines = Object.entries(figures).map(([name, bytes]) => `${name} = ${bytes}\n`);
  return `[mallinfo]\n${lines.join("")}`;
}
