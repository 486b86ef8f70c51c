import { strictEqual as equal } from "node:assert/strict";
import { kernelDevice } from "core/lib/device.ts";

Deno.test("core/lib/device: a device is as makedev(3) has it", () => {
  equal(kernelDevice(5 * 2 ** 32 + 7), 0x507);
  equal(kernelDevice(0xfff * 2 ** 32 + 0xfffff), 0xffffffff);
  equal(kernelDevice(8 * 2 ** 32 + 0x123), 0x100823);
});
