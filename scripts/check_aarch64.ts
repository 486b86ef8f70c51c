/**
 * Runs the tests of system calls, or those given, as an aarch64 program on this x86_64
 * machine: Deno for aarch64 from npm under Debian's qemu-user, in a temporary directory. Needs
 * apt-get, dpkg, npm and tar; nothing is installed.
 *
 *     deno run --allow-all scripts/check_aarch64.ts [TEST…]
 */

const DEBIAN = ["qemu-user-static", "libc6-arm64-cross", "libgcc-s1-arm64-cross"];
const DENO = "@deno/linux-arm64-glibc";
// Storage reads with preadv2, which Debian 12's emulator does not know.
const TESTS = ["core/sys/calls_test.ts", "core/sys/stubs_test.ts"];

async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { cwd, args }).output();
  const decoder = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot run "${command} ${args[0]}": ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
}

/** Unpacks an emulator, aarch64's libc and Deno into `dir`; answers the command that runs Deno. */
async function prepare(dir: string): Promise<string[]> {
  await run(dir, "apt-get", "download", "-qq", ...DEBIAN);
  for (const { name } of Deno.readDirSync(dir)) {
    if (name.endsWith(".deb")) await run(dir, "dpkg", "-x", name, "root");
  }
  // Not every version of Deno has this package: the newest is near enough for what is tested.
  const tarball = (await run(dir, "npm", "pack", "--silent", DENO)).split("\n").at(-1)!;
  await run(dir, "tar", "xzf", tarball);
  return [
    `${dir}/root/usr/bin/qemu-aarch64-static`,
    "-L",
    `${dir}/root/usr/aarch64-linux-gnu`,
    `${dir}/package/deno`,
  ];
}

const dir = await Deno.makeTempDir({ prefix: "aarch64-" });
try {
  const [emulator, ...deno] = await prepare(dir);
  const tests = Deno.args.length ? Deno.args : TESTS;
  const { code } = await new Deno.Command(emulator!, {
    // Types are checked on the machine's own Deno.
    args: [...deno, "test", "--quiet", "--no-check", "--no-lock", "--allow-all", ...tests],
    env: { DENO_DIR: `${dir}/cache` },
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  Deno.exitCode = code;
} finally {
  await Deno.remove(dir, { recursive: true });
}
