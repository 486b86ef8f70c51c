/**
 * A shared library made in memory, with one function per system call that returns what the kernel
 * returned: `-errno` on failure. libc would keep the number in a thread's variable, where a call
 * that ran on another thread (nonblocking FFI) cannot find it, and reading it costs a second call.
 *
 * The file is the least that `dlopen` accepts: ELF header, two PT_LOAD (text, dynamic section),
 * PT_DYNAMIC, PT_GNU_STACK; a hash table with one bucket, the symbols, their names, the code.
 */

import { type Machine, SYSCALL_NUMBERS } from "core/sys/numbers.ts";

const EHDR = 64, PHDR = 56, SYM = 24, STUB = 16;
// Largest page size of the machines: segments must not share a page.
const PAGE = 0x10000;

/** Prefix of the functions' names in the library. */
export const STUB_PREFIX = "sys_";

/** The bytes of the library for a machine. */
export function buildStubs(machine: Machine): Uint8Array<ArrayBuffer> {
  const numbers = SYSCALL_NUMBERS[machine];
  const names = Object.keys(numbers) as (keyof typeof numbers)[];
  const strings: number[] = [0];
  const nameAt = names.map((name) => {
    const at = strings.length;
    strings.push(...new TextEncoder().encode(STUB_PREFIX + name), 0);
    return at;
  });
  const symbolCount = names.length + 1;
  const hashAt = EHDR + 4 * PHDR;
  const symbolsAt = align(hashAt + 4 * (3 + symbolCount), 8);
  const stringsAt = symbolsAt + symbolCount * SYM;
  const textAt = align(stringsAt + strings.length, 16);
  const textEnd = textAt + STUB * names.length;
  const dynamicAt = align(textEnd, 16);
  const dynamicSize = 6 * 16;
  const file = new Uint8Array(dynamicAt + dynamicSize);
  const view = new DataView(file.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);

  // ELF header: 64 bit, little endian, shared object, program headers right behind.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  u16(16, 3);
  u16(18, machine === "x86_64" ? 62 : 183);
  u32(20, 1);
  u64(32, EHDR);
  u16(52, EHDR);
  u16(54, PHDR);
  u16(56, 4);
  u16(58, 64);
  const segment = (
    index: number,
    type: number,
    flags: number,
    at: number,
    address: number,
    size: number,
    by: number,
  ) => {
    const to = EHDR + index * PHDR;
    u32(to, type);
    u32(to + 4, flags);
    [at, address, address, size, size, by].forEach((value, i) => u64(to + 8 + 8 * i, value));
  };
  segment(0, 1, 5, 0, 0, textEnd, PAGE);
  segment(1, 1, 6, dynamicAt, dynamicAt + PAGE, dynamicSize, PAGE);
  segment(2, 2, 6, dynamicAt, dynamicAt + PAGE, dynamicSize, 8);
  segment(3, 0x6474e551, 6, 0, 0, 0, 16);

  // One bucket whose chain runs through all symbols.
  u32(hashAt, 1);
  u32(hashAt + 4, symbolCount);
  u32(hashAt + 8, 1);
  for (let i = 1; i < symbolCount - 1; i++) u32(hashAt + 12 + 4 * i, i + 1);

  names.forEach((name, index) => {
    const symbol = symbolsAt + SYM * (index + 1), code = textAt + STUB * index;
    u32(symbol, nameAt[index]!);
    file[symbol + 4] = 0x12; // global function
    u16(symbol + 6, 1); // defined: any section but 0
    u64(symbol + 8, code);
    u64(symbol + 16, STUB);
    file.set(stubCode(machine, numbers[name]), code);
  });
  file.set(strings, stringsAt);
  // DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL
  [[4, hashAt], [5, stringsAt], [6, symbolsAt], [10, strings.length], [11, SYM], [0, 0]]
    .forEach(([tag, value], i) => {
      u64(dynamicAt + 16 * i, tag!);
      u64(dynamicAt + 16 * i + 8, value!);
    });
  return file;
}

/** Machine code that makes system call `number` with the caller's arguments and returns its result. */
function stubCode(machine: Machine, number: number): Uint8Array {
  const code = new Uint8Array(STUB);
  const view = new DataView(code.buffer);
  if (machine === "x86_64") {
    // mov eax, number; mov r10, rcx; syscall; ret
    code[0] = 0xb8;
    view.setUint32(1, number, true);
    code.set([0x49, 0x89, 0xca, 0x0f, 0x05, 0xc3], 5);
  } else {
    // mov x8, number; svc 0; ret
    view.setUint32(0, 0xd2800008 | (number << 5), true);
    view.setUint32(4, 0xd4000001, true);
    view.setUint32(8, 0xd65f03c0, true);
  }
  return code;
}

function align(value: number, by: number): number {
  return Math.ceil(value / by) * by;
}
