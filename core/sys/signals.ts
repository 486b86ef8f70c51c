/**
 * Turns a signal into another before the runtime sees it.
 *
 * Deno opens its debugger on a local port at SIGUSR1, whoever listens for the signal: any local
 * user could then run code in a daemon. GlusterFS's tools send SIGUSR1 to have a statedump
 * written. So the kernel gets a handler of ours, a few machine words that send the process the
 * other signal; the runtime's own handler is never called.
 */

import { sys } from "core/sys/calls.ts";

export const SIGUSR1 = 10;
export const SIGUSR2 = 12;

const SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_RESTART = 0x10000000;
const SIG_IGN = 1n;
// In the page of code: the handler, then what x86_64 wants called to return from a handler.
const RESTORER_AT = 64;

/**
 * From now on `signal` arrives as `instead` (numbers from 1 to 63). Call it after the runtime has
 * put its handler in place, that is after the first listener was added. Answers false if memory
 * may not hold code here: then `signal` is ignored, which is as safe.
 */
export function redirectSignal(signal: number, instead: number): boolean {
  const code = codePage(Deno.build.arch === "x86_64" ? x86Code(instead) : armCode(instead));
  const action = new BigUint64Array(4);
  action[0] = code ?? SIG_IGN;
  action[1] = BigInt(SA_RESTART | SA_ONSTACK);
  if (code !== undefined && Deno.build.arch === "x86_64") {
    action[1] |= BigInt(SA_RESTORER);
    action[2] = code + BigInt(RESTORER_AT);
  }
  return sys.sigaction(signal, new Uint8Array(action.buffer), null, 8) === 0 && code !== undefined;
}

// kill(getpid(), signal); at RESTORER_AT: rt_sigreturn()
function x86Code(signal: number): Uint8Array {
  const code = new Uint8Array(RESTORER_AT + 7);
  code.set([0xb8, 39, 0, 0, 0, 0x0f, 0x05]); // mov eax, getpid; syscall
  code.set([0x89, 0xc7, 0xbe, signal, 0, 0, 0], 7); // mov edi, eax; mov esi, signal
  code.set([0xb8, 62, 0, 0, 0, 0x0f, 0x05, 0xc3], 14); // mov eax, kill; syscall; ret
  code.set([0xb8, 15, 0, 0, 0, 0x0f, 0x05], RESTORER_AT); // mov eax, rt_sigreturn; syscall
  return code;
}

function armCode(signal: number): Uint8Array {
  const moveTo = (register: number, value: number) => 0xd2800000 | (value << 5) | register;
  const call = 0xd4000001, ret = 0xd65f03c0, getpid = 172, kill = 129;
  const words = [moveTo(8, getpid), call, moveTo(1, signal), moveTo(8, kill), call, ret];
  return new Uint8Array(Uint32Array.from(words).buffer);
}

// The address of a page that holds `code` and may be run, never written and run at once.
function codePage(code: Uint8Array): bigint | undefined {
  const PROT_READ_WRITE = 3, PROT_READ_EXEC = 5, MAP_PRIVATE_ANONYMOUS = 0x22, SIZE = 65536;
  const address = sys.mmap(0, SIZE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (address < 0n) return undefined;
  const pointer = Deno.UnsafePointer.create(address)!;
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, SIZE)).set(code);
  if (sys.mprotect(address, SIZE, PROT_READ_EXEC) === 0) return address;
  sys.munmap(address, SIZE);
  return undefined;
}
