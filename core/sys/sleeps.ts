/** Whether a call waited for something, or just had no processor for a while. */

import { sys } from "core/sys/calls.ts";

const RUSAGE_THREAD = 1;
const usage = new Uint8Array(144);
/** Of the times that it slept (`ru_nvcsw`); behind it stands how often it was only interrupted. */
const view = new DataView(usage.buffer, 128);

/** How often this thread went to sleep so far, waiting for a disk, a lock or an event. */
export function sleeps(): number {
  sys.getrusage(RUSAGE_THREAD, usage);
  return view.getUint32(0, true);
}
