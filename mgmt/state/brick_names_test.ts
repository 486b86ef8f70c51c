import { doesNotThrow, throws } from "node:assert/strict";
import { checkBrickNames } from "mgmt/state/brick_names.ts";

Deno.test("mgmt/state: bricks whose files would have one name are refused, those of two hosts not", () => {
  const [first, second] = [{ host: "h", path: "/a/b-c" }, { host: "h", path: "/a-b/c" }];
  throws(
    () => checkBrickNames("v", [first, second]),
    /Cannot use h:\/a\/b-c and h:\/a-b\/c in one/,
  );
  doesNotThrow(() => checkBrickNames("v", [first, { ...second, host: "g" }]));
});

Deno.test("mgmt/state: a path that makes a name too long for a file is refused, to the byte", async () => {
  const directory = await Deno.makeTempDir({ prefix: "state-" });
  try {
    const path = (size: number) => `/${"é".repeat(10)}/${"x".repeat(size - 22)}`;
    // Volume, host, dots, ".vol" and ".new" take 12.
    await Deno.writeTextFile(
      `${directory}/v.h.${path(244).slice(1).replace("/", "-")}.vol.new`,
      "",
    );
    doesNotThrow(() => checkBrickNames("v", [{ host: "h", path: path(244) }]));
    throws(() => checkBrickNames("v", [{ host: "h", path: path(245) }]), /1 bytes too long/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
