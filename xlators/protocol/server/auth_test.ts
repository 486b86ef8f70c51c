import { strictEqual as equal } from "node:assert/strict";
import {
  type Applicant,
  isInNetwork,
  judgeAddress,
  judged,
  judgeLogin,
  matchesWildcard,
} from "xlators/protocol/server/auth.ts";

const NAMES: Record<string, readonly string[]> = { "host.example": ["10.1.2.3", "fd00::7"] };
const resolve = (host: string) =>
  NAMES[host] ? Promise.resolve(NAMES[host]!) : Promise.reject(new Error("unknown host"));

function from(address: string, more: Partial<Applicant> = {}): Applicant {
  return { address, port: address === "" ? 0 : 1000, subdir: "/", ...more };
}

async function judge(
  who: Applicant,
  allow: string | undefined,
  reject?: string,
  allowInsecure = true,
): Promise<string> {
  return await judgeAddress(who, { allow, reject, allowInsecure }, resolve);
}

Deno.test("protocol/server auth: addresses are matched as text, wildcard, network and host name", async () => {
  for (
    const [allow, address, verdict] of [
      ["*", "10.1.2.3", "accept"],
      ["*", "", "accept"],
      ["10.1.2.3", "10.1.2.3", "accept"],
      ["10.1.2.3", "10.1.2.30", "none"],
      ["10.1.*", "10.1.2.3", "accept"],
      ["10.1.*", "10.10.2.3", "none"],
      ["10.1.2.?", "10.1.2.3", "accept"],
      ["10.1.2.[1-3]", "10.1.2.3", "accept"],
      ["10.1.2.[!1-3]", "10.1.2.3", "none"],
      ["10.1.0.0/16", "10.1.255.1", "accept"],
      ["10.1.0.0/16", "10.2.0.1", "none"],
      ["fd00::/8", "fd12::1", "accept"],
      ["fd00:0:0::7", "fd00::7", "accept"],
      ["host.example", "10.1.2.3", "accept"],
      ["host.example", "fd00::7", "accept"],
      ["host.example", "10.1.2.4", "none"],
      ["nowhere.example", "10.1.2.3", "none"],
      ["!10.1.*", "10.1.2.3", "none"],
      ["!10.1.*", "10.2.2.3", "accept"],
      ["192.168.*, 10.1.2.3", "10.1.2.3", "accept"],
      ["", "10.1.2.3", "none"],
    ] as const
  ) equal(await judge(from(address), allow), verdict, `${allow} for ${address}`);
});

Deno.test("protocol/server auth: reject is stronger than allow", async () => {
  equal(await judge(from("10.1.2.3"), "*", "10.1.2.3"), "reject");
  equal(await judge(from("10.1.2.4"), "*", "10.1.2.3"), "accept");
  equal(await judge(from("10.1.2.4"), undefined, "10.1.2.3"), "none");
});

Deno.test("protocol/server auth: without rules the address says nothing", async () => {
  equal(await judge(from("10.1.2.3"), undefined), "none");
});

Deno.test("protocol/server auth: ports from 1024 on are refused if they must not be", async () => {
  equal(await judge(from("10.1.2.3", { port: 1024 }), "*", undefined, false), "reject");
  equal(await judge(from("10.1.2.3", { port: 1023 }), "*", undefined, false), "accept");
  equal(await judge(from(""), "*", undefined, false), "accept");
});

Deno.test("protocol/server auth: directories have rules of their own", async () => {
  const rules = "/(10.0.0.1),/a(10.1.*|10.2.2.2),/b(host.example)";
  for (
    const [subdir, address, verdict] of [
      ["/", "10.0.0.1", "accept"],
      ["/", "10.1.2.3", "none"],
      ["/a", "10.1.9.9", "accept"],
      ["/a", "10.2.2.2", "accept"],
      ["/a", "10.0.0.1", "none"],
      ["/b", "10.1.2.3", "accept"],
      ["/c", "10.0.0.1", "none"],
    ] as const
  ) equal(await judge(from(address, { subdir }), rules), verdict, `${subdir} for ${address}`);
  equal(await judge(from("10.9.9.9", { subdir: "/a" }), "*"), "accept");
});

Deno.test("protocol/server auth: a user needs the right password", () => {
  const rules = {
    users: ["alice", "ops-*"],
    passwords: new Map([["alice", "secret"], ["ops-1", "x"], ["bob", "y"]]),
    strict: false,
  };
  const as = (username?: string, password?: string) =>
    judgeLogin(from("10.1.2.3", { username, password }), rules);
  equal(as("alice", "secret"), "accept");
  equal(as("alice", "wrong"), "reject");
  equal(as("alice", ""), "reject");
  equal(as("ops-1", "x"), "accept");
  equal(as("ops-2", "x"), "reject");
  equal(as("bob", "y"), "none");
  equal(as(), "none");
  equal(as("alice"), "none");
});

Deno.test("protocol/server auth: strict login refuses who gives none", () => {
  const rules = { users: ["alice"], passwords: new Map([["alice", "secret"]]), strict: true };
  equal(judgeLogin(from("10.1.2.3"), rules), "reject");
  equal(judgeLogin(from("10.1.2.3", { username: "bob", password: "secret" }), rules), "reject");
  equal(
    judgeLogin(from("10.1.2.3", { username: "alice", password: "secret" }), rules),
    "accept",
  );
});

Deno.test("protocol/server auth: one reject keeps out, and so does silence", () => {
  equal(judged(["accept", "none"]), true);
  equal(judged(["none", "accept"]), true);
  equal(judged(["accept", "reject"]), false);
  equal(judged(["none", "none"]), false);
});

Deno.test("protocol/server auth: odd patterns and addresses match nothing and throw nothing", () => {
  for (const pattern of ["[", "[!]", "\\", "(", "a{2}", "[z-a]", "[z-a", "[]"]) {
    matchesWildcard("10.1.2.3", pattern);
  }
  equal(isInNetwork("10.1.2.3", "10.1.2.3/33"), false);
  equal(isInNetwork("10.1.2.3", "10.1.2.3/"), false);
  equal(isInNetwork("10.1.2.3", "::/0"), false);
  equal(isInNetwork("garbage", "0.0.0.0/0"), false);
  equal(isInNetwork("10.1.2.3", "0.0.0.0/0"), true);
  equal(matchesWildcard("a".repeat(60), "*a*a*a*a*a*a*b"), false);
});
