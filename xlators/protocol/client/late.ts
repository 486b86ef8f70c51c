/**
 * Answers after the time-out. Most may be dropped, but a brick that opens a file, or grants a lock,
 * after its caller was told ENOTCONN keeps it for nobody: the file stays open, and the lock in
 * everybody's way, for as long as the connection lives. Such answers are waited for and undone.
 */

import { undoCarried, undoCreated } from "core/carried_locks.ts";
import type { Clock } from "core/env.ts";
import { ENOTCONN } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { Xlator } from "core/xlator.ts";
import type { Call } from "core/call.ts";

/** `answer`, but ENOTCONN at `deadline` (monotonic milliseconds); an answer after that is `undone`. */
export function untilLate<R>(
  clock: Clock,
  deadline: number,
  answer: Promise<R>,
  undo: (reply: R) => void,
): Promise<R> {
  if (deadline === Infinity) return answer;
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = clock.after(Math.max(0, deadline - clock.monotonic()), () => {
      late = true;
      reject(ENOTCONN);
    });
    answer.then((reply) => {
      timer.cancel();
      if (late) undo(reply);
      else resolve(reply);
    }, (error) => {
      timer.cancel();
      reject(error);
    });
  });
}

/** Takes back what `fop` did; undefined if it leaves nothing behind. */
export function undoing(
  layer: Xlator,
  fop: FopName,
  call: Call,
  args: Args<FopName>,
): ((reply: Reply<FopName>) => Promise<unknown>) | undefined {
  switch (fop) {
    case "xattrop":
    case "fxattrop":
      return undoCarried(layer, call, args);
    case "create":
      return (reply) => undoCreated(layer, call, reply as Reply<"create">);
    case "open":
      return (reply) => layer.release(call, { fd: (reply as Reply<"open">).fd });
    case "opendir":
      return (reply) => layer.releasedir(call, { fd: (reply as Reply<"opendir">).fd });
    case "lk":
    case "inodelk":
    case "finodelk": {
      const { cmd, lock } = args as Args<"lk">;
      if (cmd === "get" || cmd === "get-fd" || lock.type === "unlock") return undefined;
      const back = { ...args, cmd: "set", lock: { ...lock, type: "unlock" } } as Args<"lk">;
      return () => (layer[fop] as Xlator["lk"])(call, back);
    }
    case "entrylk":
    case "fentrylk": {
      const { cmd } = args as Args<"entrylk">;
      if (cmd === "unlock") return undefined;
      const back = { ...args, cmd: "unlock" } as Args<"entrylk">;
      return () => (layer[fop] as Xlator["entrylk"])(call, back);
    }
  }
  return undefined;
}

/** True if the fop waits for what others hold: no time-out is an answer to that. */
export function waits(fop: FopName, args: Args<FopName>): boolean {
  switch (fop) {
    case "lk":
    case "inodelk":
    case "finodelk":
      return (args as Args<"inodelk">).cmd === "set-wait";
    case "entrylk":
    case "fentrylk":
      return (args as Args<"entrylk">).cmd === "lock";
  }
  return false;
}
