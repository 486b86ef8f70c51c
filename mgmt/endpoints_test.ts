import {
  deepStrictEqual as deepEqual,
  match,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { cannotListen, parseEndpoint, parsePort } from "mgmt/endpoints.ts";

Deno.test("mgmt/endpoints: hosts with and without a port, IPv6 and paths are read", () => {
  const read = (text: string) => parseEndpoint(text, "--signin");
  deepEqual(read("h"), { kind: "tcp", host: "h", port: 24007 });
  deepEqual(read("10.0.0.1:1"), { kind: "tcp", host: "10.0.0.1", port: 1 });
  deepEqual(read("[::1]:65535"), { kind: "tcp", host: "::1", port: 65535 });
  deepEqual(read("[::1]"), { kind: "tcp", host: "::1", port: 24007 });
  deepEqual(read("/run/x"), { kind: "unix", path: "/run/x" });
});

Deno.test("mgmt/endpoints: what is no address or port is refused, naming the option", () => {
  for (const text of ["", ":1", "h:", "h:0", "h:65536", "h:1:2", "::1", "h:x", "[::1]x"]) {
    throws(() => parseEndpoint(text, "--signin"), /^UsageError: Cannot use --signin /);
  }
  equal(parsePort("0", "--port", 0), 0);
  for (const text of ["", "-1", "1.5", "1e3", "0x1"]) {
    throws(() => parsePort(text, "--port", 0), /expected a port, 0 to 65535/);
  }
});

Deno.test("mgmt/endpoints: a failure to listen says why and what to do, others pass", () => {
  const clash = cannotListen(new Deno.errors.AddrInUse("x"), "a:1", "choose another") as Error;
  match(clash.message, /^Cannot listen on a:1: something else .*stop it, or choose another$/);
  const unknown = new Error("failed to lookup address information: Name or service not known");
  match(
    (cannotListen(unknown, "a:1", "another port", "another address") as Error).message,
    /not known here; another address$/,
  );
  const bug = new TypeError("x");
  equal(cannotListen(bug, "a:1", "choose another"), bug);
});
