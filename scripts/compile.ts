/**
 * Makes dist/mortar, one executable: by `deno compile` where its runtime can be had ($DENORT_BIN, or
 * Deno's server), otherwise a shell script that carries the Deno which runs this and a bundle, and
 * unpacks both the first time (scripts/compile/header.sh). `--self-extracting` does not try the first.
 * Beside it, dist/share has what scripts/install puts in place.
 * `--if-changed` makes nothing if dist/mortar is newer than all sources.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { SHELLS } from "mgmt/cli/complete.ts";
import { BUNDLE_FLAGS, BUNDLE_MAIN, MOUNT_V8 } from "mgmt/self.ts";
import { VERSION } from "mgmt/version.ts";
import { everyCommand } from "../main.ts";
import { manPages } from "./man.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const DIST = `${ROOT}dist`, OUTPUT = `${DIST}/mortar`;
const SOURCES = ["core", "gateways", "mgmt", "rpc", "snapshot", "xlators", "main.ts", "deno.lock"];
/** Names of the Deno that is unpacked: what a process list shows. */
const NAMES = ["mortar", "gluster", "glusterd", "glusterfsd", "glusterfs"];
/** Other names of the executable, each a role. */
export const LINKS: readonly string[] = [
  ...NAMES.slice(1),
  "mount.glusterfs",
  "mount.mortar",
];
/** Same content, same bytes: a packed directory is known by its hash. */
const PACKED_TIME = 946_684_800;

/** A packed directory. */
interface Part {
  readonly hash: string;
  readonly packed: Uint8Array<ArrayBuffer>;
  /** A line a file: name, mode in hexadecimal, size, time, as `stat -c '%n %f %s %Y'` prints them. */
  readonly files: readonly string[];
}

/** Runs a program; answers what it printed. Throws with what it said if it fails. */
async function must(program: string, args: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const command = new Deno.Command(program, {
    args: [...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr).trim());
  return stdout;
}

/** Tries `deno compile` into the file `made`; answers why it cannot be done, if it cannot. */
async function compiled(made: string): Promise<string | undefined> {
  const flags = BUNDLE_FLAGS.filter((each) => /^--(allow|no-prompt)/.test(each));
  try {
    const options = ["--quiet", "--no-check", ...flags, "--output", made];
    await must(Deno.execPath(), ["compile", ...options, "main.ts"]);
    return undefined;
  } catch (error) {
    const lines = (error as Error).message.split("\n");
    return lines.find((line) => /https?:/.test(line))?.replace(/^\s*\d+: /, "") ?? lines[0]!;
  }
}

/** What is in the file `kept`, if that was written after `source`. */
async function keptSince(
  kept: string,
  source: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const [old, now] = [Deno.statSync(kept).mtime!, Deno.statSync(source).mtime!];
    return old > now ? await Deno.readFile(kept) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Packs a directory of plain files and links; the runtime is kept in `kept`, as it takes long. */
async function pack(directory: string, variable: string, kept?: string): Promise<Part> {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  const files = names.map((name) => {
    const { isSymlink, size } = Deno.lstatSync(`${directory}/${name}`);
    const mode = isSymlink ? "a1ff" : name === "deno" ? "81ed" : "81a4";
    if (!isSymlink) Deno.chmodSync(`${directory}/${name}`, parseInt(mode, 16) & 0o777);
    return `${variable}/${name} ${mode} ${size} ${PACKED_TIME}`;
  });
  const tar = [
    'tar -C "$0" --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@$1 -cf - -- $2 | gzip -n -6',
    ...[directory, String(PACKED_TIME), names.join(" ")],
  ];
  const old = kept === undefined ? undefined : await keptSince(kept, `${directory}/deno`);
  const packed = old ?? await must("sh", ["-c", ...tar]);
  if (kept !== undefined && !old) await Deno.writeFile(kept, packed);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", packed));
  return { hash: digest.toHex(), packed, files };
}

/** Makes the self-extracting executable as the file `made`; `work` is for what it is made of. */
async function selfExtracting(work: string, made: string): Promise<void> {
  const runtime = `${work}/runtime`, app = `${work}/app`;
  await Deno.mkdir(runtime);
  await must("cp", ["--preserve=timestamps", "--reflink=auto", Deno.execPath(), `${runtime}/deno`]);
  for (const name of NAMES) await Deno.symlink("deno", `${runtime}/${name}`);
  const bundling = ["--quiet", "--no-lock", "--config", "deno.json", "--code-splitting"];
  await must(Deno.execPath(), ["bundle", ...bundling, "--outdir", app, "main.ts"]);
  const parts = [
    await pack(runtime, "$runtime", `${DIST}/runtime.tar.gz`),
    await pack(app, "$app"),
  ] as const;
  const header = await headerOf(parts[0], parts[1]);
  await Deno.writeFile(made, new Blob([header, parts[0].packed, parts[1].packed]).stream(), {
    mode: 0o755,
  });
}

/** The script, which names places behind its own end: its length is found by trying. */
async function headerOf(runtime: Part, app: Part): Promise<Uint8Array<ArrayBuffer>> {
  const template = await Deno.readTextFile(new URL("compile/header.sh", import.meta.url));
  const DIGITS = 10;
  const place = (at: number, size: number) => `${String(at).padStart(DIGITS, "0")} ${size}`;
  const filled = (length: number) =>
    new TextEncoder().encode(
      Object.entries({
        VERSION,
        RUNTIME: runtime.hash,
        APP: app.hash,
        FILES: [...runtime.files, ...app.files].join("\n"),
        RUNTIME_PLACE: place(length + 1, runtime.packed.length),
        APP_PLACE: place(length + 1 + runtime.packed.length, app.packed.length),
        FLAGS: BUNDLE_FLAGS.join(" "),
        MOUNT_V8,
        MAIN: BUNDLE_MAIN,
      }).reduce((text, [name, value]) => text.replaceAll(`@${name}@`, () => value), template),
    );
  return filled(filled(0).length);
}

/** Where shells look for what completes words, below a prefix. */
const COMPLETIONS: Readonly<Record<typeof SHELLS[number], string>> = {
  bash: "bash-completion/completions/mortar",
  zsh: "zsh/site-functions/_mortar",
  fish: "fish/vendor_completions.d/mortar.fish",
};

/** What is installed beside the executable, as dist/share: man pages, completion, systemd's unit. */
async function share(): Promise<void> {
  const files = new Map<string, string | Uint8Array>();
  for (const [name, text] of manPages(await everyCommand())) {
    files.set(`man/man${name.at(-1)}/${name}`, text);
  }
  for (const shell of SHELLS) {
    files.set(COMPLETIONS[shell], await must(OUTPUT, ["completion", shell]));
  }
  const unit = new URL("compile/mortar.service", import.meta.url);
  files.set("systemd/mortar.service", await Deno.readTextFile(unit));
  await must("rm", ["-rf", `${DIST}/share`]);
  for (const [name, content] of files) {
    const path = `${DIST}/share/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (typeof content === "string") await Deno.writeTextFile(path, content);
    else await Deno.writeFile(path, content);
  }
}

/** The time of the newest source, in milliseconds since 1970. */
function newest(path: string): number {
  const { isDirectory, mtime } = Deno.statSync(path);
  const below = isDirectory
    ? [...Deno.readDirSync(path)].map(({ name }) => newest(`${path}/${name}`))
    : [];
  return Math.max(mtime?.getTime() ?? 0, ...below);
}

function isFresh(): boolean {
  try {
    const made = Deno.statSync(OUTPUT).mtime?.getTime() ?? 0;
    const all = [...SOURCES, "scripts/compile", "scripts/compile.ts", "scripts/man.ts"];
    return all.every((each) => newest(`${ROOT}${each}`) < made);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function main(): Promise<void> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ options: { "self-extracting": flag, "if-changed": flag } });
  if (values["if-changed"] && isFresh()) return;
  await Deno.mkdir(DIST, { recursive: true });
  const work = await Deno.makeTempDir({ dir: DIST, prefix: "new-" });
  try {
    const made = `${work}/mortar`;
    const why = values["self-extracting"] ? "as was asked" : await compiled(made);
    if (why !== undefined) await selfExtracting(work, made);
    // As a whole: what runs the old one goes on with it.
    await Deno.rename(made, OUTPUT);
    for (const name of LINKS) await must("ln", ["-sfn", "mortar", `${DIST}/${name}`]);
    await share();
    const megabytes = Math.round(Deno.statSync(OUTPUT).size / 1e6);
    const kind = why === undefined ? "compiled" : `self-extracting (${why})`;
    console.log(`dist/mortar: ${megabytes} MB, ${kind}`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`Cannot make dist/mortar: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
