/** The command line as people, scripts and shells use it, over a daemon with a home of its own. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { cannotRun } from "tests/e2e/harness.ts";
import { run, until } from "tests/e2e/process.ts";
import { MORTAR, PROGRAM_DIR } from "tests/e2e/program.ts";

const GLUSTER = `${PROGRAM_DIR}/gluster`;

interface Node {
  readonly dir: string;
  readonly home: string;
  readonly socket: string;
  readonly daemon: DaemonProcess;
  /** `mortar --home HOME WORDS…`, with `input` on standard input. */
  mortar(line: string, input?: string): Promise<Said>;
  /** `gluster --glusterd-sock=SOCKET WORDS…`. */
  gluster(line: string, input?: string): Promise<Said>;
}

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function say(argv: readonly string[], input = ""): Promise<Said> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program!, {
    args,
    env: { DENO: Deno.execPath() },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // It may be gone before it reads.
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

async function withNode(use: (node: Node) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-cli-" });
  const home = `${dir}/home`, socket = `${home}/run/mgmt.socket`;
  try {
    await using daemon = new DaemonProcess(["mgmt", "--home", home, "--port", "0", "--http", "0"]);
    await daemon.address();
    const words = (line: string) => line.split(" ").filter((each) => each !== "");
    await use({
      dir,
      home,
      socket,
      daemon,
      mortar: (line, input) => say([MORTAR, "--home", home, ...words(line)], input),
      gluster: (line, input) => say([GLUSTER, `--glusterd-sock=${socket}`, ...words(line)], input),
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const root = cannotRun() !== "";

Deno.test({
  name: "command line: a volume is made, named in every form, and deleted after its question",
  ignore: root,
  async fn() {
    await withNode(async ({ dir, home, mortar }) => {
      const made = await mortar(`volume create v1 127.0.0.1:${dir}/b1 force`);
      match(made.out, /^volume create: v1: success/);
      deepEqual(await mortar("vol list"), { code: 0, out: "v1\n", err: "" });
      match((await mortar("volume list --xml")).out, /^ {4}<volume>v1<\/volume>$/m);
      deepEqual(JSON.parse((await mortar("--json volume list")).out), {
        ok: true,
        value: { volumes: ["v1"] },
      });
      const no = await mortar("volume delete v1", "n\n");
      equal(no.code, 1);
      match(no.err, /Do you want to continue\? \(y\/n\) $/);
      const none = await mortar("volume delete v1");
      equal(none.code, 1);
      match(none.err, /Nothing was done: no answer; --mode=script answers yes/);
      equal((await mortar("volume delete v1", "maybe\n")).code, 1);
      equal((await mortar("volume list")).out, "v1\n");
      equal((await mortar("volume delete v1", "y\n")).code, 0);
      equal((await mortar("--mode=script volume delete v1")).code, 1);
      const history = Deno.readTextFileSync(`${home}/log/cmd_history.log`).trimEnd().split("\n");
      deepEqual(
        history.map((line) => / : (volume \w+) .*: (SUCCESS|FAILED)/.exec(line)?.slice(1)),
        [
          ["volume create", "SUCCESS"],
          ["volume delete", "SUCCESS"],
          ["volume delete", "FAILED"],
        ],
      );
    });
  },
});

Deno.test({
  name: "command line: called as gluster it says and ends as GlusterFS's does",
  ignore: root,
  async fn() {
    await withNode(async ({ dir, gluster }) => {
      equal((await gluster(`volume create v1 127.0.0.1:${dir}/b1 force`)).code, 0);
      // Exit codes and first lines of gluster 10.3, each after "gluster --mode=script".
      const cases: [string, number, RegExp, RegExp][] = [
        ["foo", 1, /^unrecognized word: foo \(position 0\)\n/, /^$/],
        ["volume foo", 1, /^unrecognized word: foo \(position 1\)\n/, /^$/],
        ["volume st v1", 1, /^unrecognized word: st \(position 1\)\n/, /^$/],
        ["volume", 1, /^unrecognized command\n/, /^$/],
        ["-h", 1, /^unrecognized word: -h \(position 0\)\n/, /^$/],
        ["vol list", 0, /^v1\n$/, /^$/],
        ["volume start", 1, /^$/, /^\nUsage:\nvolume start <VOLNAME> \[force\]\n\n$/],
        ["volume start v1 foo", 1, /^$/, /^\nUsage:\nvolume start <VOLNAME> \[force\]\n\n$/],
        ["volume stop v1 force force", 1, /^$/, /^\nUsage:\nvolume stop <VOLNAME> \[force\]\n\n$/],
        ["volume delete", 1, /^$/, /^\nUsage:\nvolume delete <VOLNAME>\n\n$/],
        ["peer status foo", 1, /^$/, /^\nUsage:\npeer status\n\n$/],
        ["volume start x", 1, /^$/, /^volume start: x: failed: Volume x does not exist\n$/],
        [
          "--xml volume start x",
          0,
          /<opErrno>30800<\/opErrno>\n *<opErrstr>Volume x does not/,
          /^$/,
        ],
        ["volume info x", 1, /^$/, /^Volume x does not exist\n$/],
        ["--foo volume list", 255, /^unrecognized option --foo\n/, /^$/],
        ["--timeout=x volume list", 254, /^$/, /^timeout value should be a positive integer\n$/],
        ["--version", 0, /^glusterfs 10\.3\n/, /^$/],
        ["--print-logdir", 0, /^\/var\/log\/glusterfs\n$/, /^$/],
        ["--print-statedumpdir", 0, /^\/var\/run\/gluster\n$/, /^$/],
        ["volume help", 0, /^volume start <VOLNAME> \[force\] - /m, /^$/],
        ["help", 0, /^ volume help +- /m, /^$/],
      ];
      for (const [line, code, out, err] of cases) {
        const said = await gluster(`--mode=script ${line}`);
        equal(said.code, code, line);
        match(said.out, out, line);
        match(said.err, err, line);
      }
      match((await gluster("volume delete v1", "n\n")).out, /Do you want to continue\? \(y\/n\) $/);
      equal((await gluster("volume delete v1", "n\n")).code, 0);
      const script = await gluster("", "volume list\nfoo\nvolume list\n");
      match(script.out, /^v1\nunrecognized word: foo/);
      equal(script.code, 1);
      deepEqual((await gluster("", "volume list\nquit\nvolume list\n")).out, "v1\n");
    });
  },
});

Deno.test("command line: nobody there, or not ours, is told with what to do", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-cli-" });
  try {
    const gone = await say([MORTAR, "--home", dir, "volume", "list"]);
    equal(gone.code, 1);
    match(gone.err, /^Cannot reach the management daemon at \/.*: there is no such socket; start/);
    const typo = await say([MORTAR, "--home", dir, "volume", "lsit"]);
    match(typo.err, /did you mean "volume list"\?/);
    deepEqual(await say([GLUSTER, `--glusterd-sock=${dir}/x`, "volume", "list"]), {
      code: 1,
      out: "Connection failed. Please check if gluster daemon is operational.\n",
      err: "",
    });
    match((await say([MORTAR, "help", "volume", "start"])).out, /^Usage: mortar volume start/m);
    // Something else listens there, and never answers.
    const path = `${dir}/socket`;
    const listener = Deno.listen({ transport: "unix", path });
    const taken = listener.accept();
    const late = await say([MORTAR, "--socket", path, "--timeout=1", "volume", "list"]);
    equal(late.code, 1);
    match(late.err, /^Cannot tell how "volume list" ended: no answer within 1 s/);
    (await taken).close();
    listener.close();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test({
  name: "command line: in a terminal the prompt of gluster takes lines, and asks questions",
  ignore: cannotRun("script") !== "",
  async fn() {
    await withNode(async ({ dir, socket, mortar }) => {
      equal((await mortar(`volume create v1 127.0.0.1:${dir}/b1 force`)).code, 0);
      const line = `${GLUSTER} --glusterd-sock=${socket}`;
      const input = "volume list\nfoo\nvolume delete v1\ny\nvolume list\nquit\n";
      const said = await say(["script", "-qec", line, "/dev/null"], input);
      const out = said.out.replaceAll("\r", "");
      match(out, /gluster> v1\n/);
      match(out, /unrecognized word: foo \(position 0\)\n/);
      match(out, /Do you want to continue\? \(y\/n\) volume delete: v1: success\n/);
      match(out, /No volumes present in cluster\n/);
      equal(said.code, 0);
    });
  },
});

Deno.test({
  name: "command line: over TCP one may look, and change nothing",
  ignore: root,
  async fn() {
    await withNode(async ({ daemon }) => {
      const host = `--remote-host=${await daemon.address()}`;
      equal((await say([MORTAR, host, "volume", "list"])).code, 0);
      // Changes, files written there, and volfiles, which have logins in them.
      for (const line of ["volume delete v1", "get-state", "system:: getspec v1"]) {
        const refused = await say([MORTAR, host, "--mode=script", ...line.split(" ")]);
        equal(refused.code, 1, line);
        match(refused.err, /over the network one may only look; run it on the server itself/);
      }
    });
  },
});

Deno.test({
  name: "command line: a client that goes away leaves nothing half done, and no lock",
  ignore: root,
  async fn() {
    await withNode(async ({ dir, home, mortar }) => {
      equal((await mortar(`volume create v1 127.0.0.1:${dir}/b1 force`)).code, 0);
      const child = new Deno.Command(MORTAR, {
        args: ["--home", home, "volume", "start", "v1"],
        env: { DENO: Deno.execPath() },
        stdout: "null",
        stderr: "null",
      }).spawn();
      const started = async () => (await mortar("volume info v1")).out.includes("Status: Started");
      // The record says so before the brick runs: by then the command is under way.
      await until("v1 is being started", started);
      try {
        child.kill("SIGKILL");
      } catch (error) {
        // It was faster.
        if (!(error instanceof TypeError)) throw error;
      }
      await child.status;
      const stopped = await mortar("--mode=script volume stop v1");
      deepEqual([stopped.code, stopped.err], [0, ""]);
      match((await mortar("volume info v1")).out, /Status: Stopped/);
    });
  },
});

Deno.test({
  name: "command line: bash, zsh and fish complete words, options and volumes",
  ignore: cannotRun("bash", "zsh", "fish") !== "",
  async fn() {
    await withNode(async ({ dir, home, mortar }) => {
      equal((await mortar(`volume create vault 127.0.0.1:${dir}/b1 force`)).code, 0);
      const env = { PATH: `${PROGRAM_DIR}:${Deno.env.get("PATH")}`, DENO: Deno.execPath() };
      const before = `mortar --home ${home} volume `;
      const bash = `eval "$(mortar completion bash)"
        COMP_LINE='${before}start va' COMP_POINT=\${#COMP_LINE}
        COMP_WORDS=($COMP_LINE) COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
        _mortar; echo "\${COMPREPLY[@]}"`;
      equal((await run(["bash", "--norc", "-c", bash], { env })).out, "vault\n");
      const fish = `mortar completion fish | source; complete -C "${before}sto"
        complete -C "${before}start "`;
      const fished = (await run(["fish", "--no-config", "-c", fish], { env })).out;
      deepEqual(fished.split("\n").map((line) => line.split("\t")[0]), ["stop", "vault", ""]);
      const zsh = `zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'autoload -U compinit; compinit -u -D; eval "$(mortar completion zsh)"; echo RE""ADY'
        zpty -r shell heard '*READY*'
        zpty -w -n shell $'${before}start va\\t'
        zpty -r shell heard '*vault*' && print -r -- "$heard"
        zpty -d shell`;
      const zshed = await run(["zsh", "-f", "-c", zsh], { env });
      equal(zshed.code, 0);
      match(zshed.out, /start vault/);
    });
  },
});

Deno.test({
  name: "command line: it starts, asks and prints in less than 80 ms",
  ignore: root,
  async fn() {
    await withNode(async ({ dir, mortar }) => {
      const empty = `${dir}/empty.ts`;
      Deno.writeTextFileSync(empty, "");
      const timed = async (what: () => Promise<unknown>) => {
        const start = performance.now();
        await what();
        return performance.now() - start;
      };
      // The fastest counts, beside the fastest of a program that does nothing: a machine that does
      // much else makes all of them slow.
      let ours = Infinity, nothing = Infinity;
      for (let count = 0; count < 30 && ours >= 80; count++) {
        ours = Math.min(ours, await timed(() => mortar("volume list")));
        nothing = Math.min(nothing, await timed(() => say([Deno.execPath(), "run", empty])));
      }
      ok(
        ours < 80 || ours < 3 * nothing,
        `${ours.toFixed()} ms; doing nothing takes ${nothing.toFixed()} ms`,
      );
    });
  },
});

Deno.test({
  name: "command line: REST takes the same commands, for who has the token",
  ignore: root,
  async fn() {
    await withNode(async ({ dir, home, daemon, mortar }) => {
      const base = `http://${/ http=(\S+)/.exec(await daemon.said(/ http=/))![1]}/v1`;
      const token = Deno.readTextFileSync(`${home}/http.token`).trim();
      const ask = async (path: string, init: RequestInit = {}, bearer = token) => {
        const headers = { authorization: `Bearer ${bearer}` };
        const response = await fetch(base + path, { ...init, headers });
        return { status: response.status, value: await response.json() };
      };
      equal((await ask("/volume-names", {}, "wrong")).status, 401);
      const body = JSON.stringify({ volume: "v1", bricks: [`127.0.0.1:${dir}/b1`], force: true });
      equal((await ask("/volumes", { method: "POST", body })).status, 200);
      equal((await mortar("volume list")).out, "v1\n");
      deepEqual((await ask("/volume-names")).value.value, { volumes: ["v1"] });
      equal((await ask("/volumes/v1", { method: "DELETE" })).status, 200);
      equal((await ask("/volumes/v1", { method: "DELETE" })).status, 404);
      equal((await mortar("volume list")).out, "");
    });
  },
});
