/** Figures as text: medians, ratios, aligned tables, and the machine they were taken on. */

import { run } from "tests/e2e/process.ts";

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** A number with three significant digits, thousands in full. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A Markdown table whose columns line up as plain text, too; the first column is text. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, index) =>
    Math.max(head.length, 3, ...rows.map((row) => row[index]!.length))
  );
  const line = (cells: readonly string[]) =>
    `| ${
      cells.map((cell, index) =>
        index ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)
      )
        .join(" | ")
    } |`;
  const rule = `| ${
    widths.map((width, index) => index ? "-".repeat(width - 1) + ":" : "-".repeat(width)).join(
      " | ",
    )
  } |`;
  return [line(heads), rule, ...rows.map(line)].join("\n") + "\n";
}

/** Where and when figures were taken. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly fileSystem: string;
  readonly deno: string;
  readonly glusterfs: string;
  readonly fio: string;
  readonly commit: string;
  readonly date: string;
  /** One-minute load average before the first run: above 0.5, something else was running. */
  readonly load: number;
}

/** This machine now; `directory` is where the bricks are. */
export async function machine(directory: string): Promise<Machine> {
  const first = async (...argv: string[]) => (await run(argv)).out.split("\n")[0]!.trim();
  const cpuInfo = await Deno.readTextFile("/proc/cpuinfo");
  return {
    cpu: /^model name\s*: (.*)$/m.exec(cpuInfo)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    kernel: Deno.osRelease(),
    fileSystem: await first("findmnt", "-n", "-o", "FSTYPE", "-T", directory),
    deno: Deno.version.deno,
    glusterfs: (await first("glusterfsd", "--version")).replace("glusterfs ", ""),
    fio: (await first("fio", "--version")).replace("fio-", ""),
    commit: await first("git", "rev-parse", "--short", "HEAD"),
    date: new Date().toISOString().slice(0, 10),
    load: Deno.loadavg()[0]!,
  };
}

/** The same in one paragraph. */
export function machineText(m: Machine): string {
  return `${m.date}, commit ${m.commit}. ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB, Linux ${m.kernel}, ` +
    `bricks on ${m.fileSystem}, load average ${m.load.toFixed(1)} before. ` +
    `Deno ${m.deno}, GlusterFS ${m.glusterfs}, fio ${m.fio}.\n`;
}
