import { ROOT } from "core/call.ts";
import { conformance } from "tests/conformance/mod.ts";
import { TestBrick } from "tests/fakes/posix_brick.ts";

conformance("storage/posix", async () => {
  const brick = await TestBrick.start();
  return { top: brick.top, inodes: brick.inodes, call: ROOT, stop: () => brick.remove() };
}, { without: ["locks"], onDisk: true });
