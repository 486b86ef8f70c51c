import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type Machine, type Syscall, SYSCALL_NUMBERS } from "core/sys/numbers.ts";
import { buildStubs, STUB_PREFIX } from "core/sys/stubs.ts";

const MACHINES: readonly Machine[] = ["x86_64", "aarch64"];
const X86_HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
const GENERIC_HEADER = "/usr/include/asm-generic/unistd.h";

interface Section {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

// What a dynamic linker reads: segments, dynamic section, hash table, symbols.
function parse(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  deepStrictEqual([...file.subarray(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const segments: Section[] = Array.from({ length: u16(56) }, (_, i) => {
    const at = u64(32) + i * u16(54);
    return {
      type: u32(at),
      flags: u32(at + 4),
      offset: u64(at + 8),
      address: u64(at + 16),
      size: u64(at + 32),
    };
  });
  const dynamic = new Map<number, number>();
  for (let at = segments.find(({ type }) => type === 2)!.offset; u64(at) !== 0; at += 16) {
    dynamic.set(u64(at), u64(at + 8));
  }
  const hash = dynamic.get(4)!, strings = dynamic.get(5)!, table = dynamic.get(6)!;
  const symbols = new Map<string, number>();
  for (let index = u32(hash + 8); index !== 0; index = u32(hash + 12 + 4 * index)) {
    const at = table + 24 * index;
    const from = strings + u32(at);
    symbols.set(new TextDecoder().decode(file.subarray(from, file.indexOf(0, from))), u64(at + 8));
  }
  return { machine: u16(18), type: u16(16), segments, symbols, u32 };
}

for (const machine of MACHINES) {
  const names = Object.keys(SYSCALL_NUMBERS[machine]) as Syscall[];

  Deno.test(`core/sys: stubs for ${machine} have one function per system call`, () => {
    const { machine: code, type, segments, symbols } = parse(buildStubs(machine));
    deepStrictEqual([code, type], [machine === "x86_64" ? 62 : 183, 3]);
    deepStrictEqual([...symbols.keys()].sort(), names.map((name) => STUB_PREFIX + name).sort());
    const [text, data] = segments.filter((each) => each.type === 1);
    deepStrictEqual([text!.flags, data!.flags], [5, 6], "code may be written, or data run");
    for (const at of symbols.values()) ok(at + 16 <= text!.size, "a function beyond the code");
    for (const { offset, address } of segments) strictEqual((address - offset) % 0x10000, 0);
  });

  Deno.test(`core/sys: each stub for ${machine} makes its own call and returns`, () => {
    const file = buildStubs(machine);
    const { symbols, u32 } = parse(file);
    for (const name of names) {
      const at = symbols.get(STUB_PREFIX + name)!, number = SYSCALL_NUMBERS[machine][name];
      if (machine === "x86_64") {
        strictEqual(file[at], 0xb8, name);
        strictEqual(u32(at + 1), number, name);
        deepStrictEqual([...file.subarray(at + 5, at + 11)], [0x49, 0x89, 0xca, 0x0f, 0x05, 0xc3]);
      } else {
        // movz x8, #number: 110100101 00 imm16 Rd (Arm ARM, MOVZ)
        strictEqual((u32(at) & 0xffe0001f) >>> 0, 0xd2800008, name);
        strictEqual((u32(at) >>> 5) & 0xffff, number, name);
        deepStrictEqual([u32(at + 4), u32(at + 8)], [0xd4000001, 0xd65f03c0]);
      }
    }
  });

  Deno.test(`core/sys: readelf finds nothing wrong with the stubs for ${machine}`, {
    ignore: !has("/usr/bin/readelf"),
  }, async () => {
    const file = Deno.makeTempFileSync({ suffix: ".so" });
    try {
      Deno.writeFileSync(file, buildStubs(machine));
      const { code, stdout, stderr } = await new Deno.Command("readelf", {
        args: [
          "--wide",
          "--file-header",
          "--segments",
          "--dynamic",
          "--use-dynamic",
          "--syms",
          file,
        ],
      }).output();
      deepStrictEqual([code, new TextDecoder().decode(stderr)], [0, ""]);
      const text = new TextDecoder().decode(stdout);
      ok(text.includes(machine === "x86_64" ? "X86-64" : "AArch64"), "machine");
      for (const name of names) ok(text.includes(STUB_PREFIX + name), name);
    } finally {
      Deno.removeSync(file);
    }
  });
}

Deno.test("core/sys: system call numbers of x86_64 are the kernel's", {
  ignore: !has(X86_HEADER),
}, () => compare("x86_64", X86_HEADER));

Deno.test("core/sys: system call numbers of aarch64 are the kernel's", {
  ignore: !has(GENERIC_HEADER),
}, () => compare("aarch64", GENERIC_HEADER));

function compare(machine: Machine, header: string): void {
  const kernel = new Map<string, number>();
  // 3264: a number that 32 and 64 bits share under two names.
  const line = /^#define __NR(3264)?_(\w+)\s+(\d+)$/gm;
  for (const [, , name, number] of Deno.readTextFileSync(header).matchAll(line)) {
    kernel.set(name!, Number(number));
  }
  // Headers of an older kernel do not know what came later.
  const newest = Math.max(...kernel.values());
  for (const [name, number] of Object.entries(SYSCALL_NUMBERS[machine])) {
    if (number > newest && !kernel.has(name)) continue;
    strictEqual(kernel.get(name), number, name);
  }
}

function has(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
