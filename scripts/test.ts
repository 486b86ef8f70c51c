/**
 * Everything that has to be right, in one command: installs the Debian packages that the tests use
 * (as root; otherwise says what is missing, and those tests count as skipped), then format, lint,
 * import and tidy checks, types, the unit and conformance tests, and real processes with real
 * clients, which run dist/mortar; with `MORTAR=scripts/mortar` they run the sources. Each check counts
 * as one test. The last line is `N passed, N failed, N skipped`.
 */

// deno-lint-ignore-file no-console -- a command's output

/** Program that a test runs → Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  glusterfsd: "glusterfs-server",
  glusterfs: "glusterfs-client",
  glfsheal: "glusterfs-server",
  fio: "fio",
  "qemu-img": "qemu-utils",
  nbdinfo: "libnbd-bin",
  getfattr: "attr",
  setfacl: "acl",
  rsync: "rsync",
  git: "git",
  make: "make",
  gcc: "gcc",
  sqlite3: "sqlite3",
  ip: "iproute2",
  nsenter: "util-linux",
  fusermount3: "fuse3",
  python3: "python3",
  diff: "diffutils",
  xmllint: "libxml2-utils",
  "qemu-system-x86_64": "qemu-system-x86",
  "virt-qemu-run": "libvirt-daemon-driver-qemu",
  syslinux: "syslinux",
  mcopy: "mtools",
  "mkfs.vfat": "dosfstools",
  busybox: "busybox-static",
  cpio: "cpio",
  "/usr/share/doc/linux-image-cloud-amd64": "linux-image-cloud-amd64",
  "mkfs.xfs": "xfsprogs",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.ext4": "e2fsprogs",
  gluster: "glusterfs-cli",
  ansible: "ansible",
  libvirtd: "libvirt-daemon",
  virsh: "libvirt-clients",
  zsh: "zsh",
  fish: "fish",
  killall: "psmisc",
  pgrep: "procps",
  strace: "strace",
  openssl: "openssl",
};
/** Packages with no program of their own: their file tells that they are there. */
const LIBRARIES: Readonly<Record<string, string>> = {
  // Makes the user as whom libvirt's QEMU driver runs machines; it starts for no other.
  "libvirt-daemon-system": "/usr/share/doc/libvirt-daemon-system",
  "qemu-block-extra": "/usr/lib/x86_64-linux-gnu/qemu/block-gluster.so",
  "libvirt-daemon-driver-storage-gluster":
    "/usr/lib/x86_64-linux-gnu/libvirt/storage-backend/libvirt_storage_backend_gluster.so",
};

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function missingPackages(): string[] {
  const folders = [
    ...(Deno.env.get("PATH") ?? "").split(":"),
    "/usr/sbin",
    "/sbin",
    "/usr/lib/x86_64-linux-gnu/glusterfs",
    "/usr/libexec/glusterfs",
  ];
  const missing = Object.entries(PROGRAMS)
    .filter(([program]) => !folders.some((folder) => exists(`${folder}/${program}`)))
    .map(([, name]) => name);
  missing.push(
    ...Object.entries(LIBRARIES).filter(([, file]) => !exists(file)).map(([name]) => name),
  );
  return [...new Set(missing)];
}

async function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const child = new Deno.Command(command, { args: [...args], env, stdin: "null" }).spawn();
  return (await child.status).code;
}

async function install(): Promise<void> {
  const missing = missingPackages();
  if (!missing.length) return;
  if (Deno.uid() !== 0) {
    console.log(`Not installed (tests that need them are skipped): ${missing.join(" ")}`);
    console.log(`To have them: sudo apt-get install ${missing.join(" ")}`);
    return;
  }
  console.log(`Installing ${missing.join(" ")}`);
  const quiet = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-q"], quiet);
  const code = await run(
    "apt-get",
    ["install", "-y", "-q", "--no-install-recommends", ...missing],
    quiet,
  );
  if (code !== 0) {
    console.log("Some packages could not be installed: tests that need them are skipped");
  }
}

/** Sums of a JUnit file: a test that is neither failed nor skipped passed. */
export function countJunit(xml: string): Counts {
  const sum = (attribute: string) =>
    [...xml.matchAll(new RegExp(`<testsuite [^>]*\\b${attribute}="(\\d+)"`, "g"))]
      .reduce((total, match) => total + Number(match[1]), 0);
  const failed = sum("failures") + sum("errors"), skipped = sum("disabled") + sum("skipped");
  return { passed: sum("tests") - failed - skipped, failed, skipped };
}

async function check(counts: Counts, name: string, ...args: string[]): Promise<void> {
  const code = await run(Deno.execPath(), args);
  counts[code === 0 ? "passed" : "failed"]++;
  console.log(`${code === 0 ? "ok" : "FAILED"}: ${name}`);
}

/** Names of the tests in a JUnit file that failed. */
export function failedTests(xml: string): string[] {
  const cases = xml.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<(?:failure|error)\b/g);
  return [...cases].map((match) => match[1]!.replace(/&(lt|gt|quot|apos|amp);/g, unescaped));
}

const ESCAPES = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" } as const;

function unescaped(_all: string, name: string): string {
  return ESCAPES[name as keyof typeof ESCAPES];
}

/** Runs tests; answers the JUnit text with the exit code. */
async function tested(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; xml: string }> {
  const junit = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const code = await run(Deno.execPath(), [
      ...["test", "--allow-all", "--no-check", `--junit-path=${junit}`],
      ...args,
    ], env);
    return { code, xml: await Deno.readTextFile(junit) };
  } finally {
    await Deno.remove(junit);
  }
}

interface Suite {
  readonly name: string;
  readonly flags: readonly string[];
  readonly paths: readonly string[];
  readonly env?: Record<string, string>;
  /**
   * So many failed tests are tried once more, each alone, when all others are done: on a machine that
   * stood still for seconds a time-out says nothing about us. What passes then is named as unsteady.
   */
  readonly secondTries?: number;
}

async function suite(
  counts: Counts,
  { name, flags, paths, env = {}, secondTries = 0 }: Suite,
): Promise<void> {
  const began = performance.now();
  const files = paths.filter(exists);
  const { code, xml } = await tested([...flags, ...files], env);
  const found = countJunit(xml), failed = failedTests(xml);
  // A run that died tells nothing in its file, or too little.
  if (code !== 0 && found.failed === 0) found.failed = 1;
  else if (failed.length === found.failed && failed.length <= secondTries) {
    for (const test of failed) {
      const filter = `--filter=/^${test.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$/`;
      const again = await tested([...flags, filter, ...files], env);
      const { passed } = countJunit(again.xml);
      if (again.code !== 0 || passed !== 1) continue;
      found.failed--;
      found.passed++;
      console.log(`UNSTEADY: failed above, passed alone: ${test}`);
    }
  }
  for (const key of ["passed", "failed", "skipped"] as const) counts[key] += found[key];
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(
    `${name}: ${found.passed} passed, ${found.failed} failed, ${found.skipped} skipped in ${seconds} s`,
  );
}

async function main(): Promise<void> {
  await install();
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  await check(counts, "format", "fmt", "--check", "--quiet");
  await check(counts, "lint", "lint", "--quiet");
  await check(counts, "imports", "run", "--allow-read", "scripts/imports.ts");
  await check(counts, "tidy", "run", "--allow-read", "scripts/tidy.ts");
  await check(counts, "types", "check", "--quiet", ".");
  await check(counts, "manual", "run", "--allow-all", "scripts/docs.ts", "--check");
  await suite(counts, {
    name: "beside the code",
    flags: ["--parallel"],
    paths: [
      ...["core", "rpc", "xlators", "mgmt", "gateways", "snapshot", "scripts"],
      ...["fakes", "conformance", "history", "interop", "sim"].map((at) => `tests/${at}`),
    ],
  });
  // By themselves: memory is measured, and all parallel tests are one process.
  await suite(counts, { name: "malformed input", flags: [], paths: ["tests/fuzz"] });
  await check(
    counts,
    "500 simulated seeds",
    "run",
    "--allow-all",
    "--no-check",
    "tests/sim/run.ts",
  );
  await check(counts, "compile", "run", "--allow-all", "--no-check", "scripts/compile.ts");
  await suite(counts, {
    name: "real processes",
    flags: [],
    paths: ["tests/e2e"],
    env: { MORTAR: Deno.env.get("MORTAR") ?? "dist/mortar" },
    secondTries: 3,
  });
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  if (counts.failed) Deno.exit(1);
}

if (import.meta.main) await main();
