/** Mounted file systems, from /proc/self/mountinfo (proc(5)). */

import { readProc } from "mgmt/bricks/proc.ts";

/** One of them. */
export interface Mount {
  /** Directory it is mounted on. */
  readonly point: string;
  readonly type: string;
  /** Device, or what stands for it. */
  readonly source: string;
  /** Mount options, then those of the file system. */
  readonly options: string;
}

/** The file system that `path` is on; undefined if the kernel does not say. */
export function mountOf(path: string, mounts = readMounts()): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const inside = path === mount.point || mount.point === "/" ||
      path.startsWith(`${mount.point}/`);
    // Of two on one directory the later hides the earlier.
    if (inside && mount.point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** All of them, in the order of mounting. */
export function readMounts(text = readProc("/proc/self/mountinfo") ?? ""): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before, after] = line.split(" - ");
    const point = before?.split(" ")[4], own = before?.split(" ")[5];
    const [type, source, more] = after?.split(" ") ?? [];
    if (point === undefined || own === undefined || type === undefined || source === undefined) {
      return [];
    }
    const options = [own, ...(more ?? "").split(",").filter((each) => each && each !== "rw")];
    return [{
      point: unescaped(point),
      type,
      source: unescaped(source),
      options: options.join(","),
    }];
  });
}

// Blanks, tabs, newlines and backslashes are written as three octal digits.
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
