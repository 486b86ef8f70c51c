/** A PostgreSQL server of a test. */

import { exists, must, Process, run, until } from "tests/e2e/process.ts";

const VERSIONS = "/usr/lib/postgresql";
/** How long a step may take on a machine that does much else. */
export const PATIENCE_MS = 900_000;

/** Where Debian has the server's programs; undefined if it is not installed. */
export function postgresPrograms(): string | undefined {
  if (!exists(VERSIONS)) return undefined;
  const versions = [...Deno.readDirSync(VERSIONS)].map(({ name }) => Number(name));
  const bin = `${VERSIONS}/${Math.max(...versions)}/bin`;
  return ["initdb", "postgres", "pgbench", "pg_amcheck"].every((name) => exists(`${bin}/${name}`))
    ? bin
    : undefined;
}

/** What `pgbench` did. */
export interface Load {
  readonly process: Process;
  /** Transactions whose commit it was told of; known when it has ended. */
  acknowledged(): Promise<number>;
}

/** A server whose data are in `data`; socket and logs are in `dir`. Dispose it. */
export class Postgres implements AsyncDisposable {
  #server: Process | undefined;

  constructor(readonly bin: string, readonly data: string, readonly dir: string) {}

  // The server refuses to be root.
  #as(program: string, ...args: string[]): string[] {
    const user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];
    const env = ["env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C", `PGHOST=${this.dir}`];
    return ["setpriv", ...user, ...env, "PGUSER=postgres", `${this.bin}/${program}`, ...args];
  }

  /** Runs one of its programs; answers what that printed. */
  must(program: string, ...args: string[]): Promise<string> {
    return must(this.#as(program, ...args), { timeoutMs: PATIENCE_MS, cwd: this.dir });
  }

  /** The only value that a query answers. */
  async value(query: string): Promise<string> {
    return (await this.must("psql", "-X", "-At", "-c", query, "postgres")).trim();
  }

  /** Makes a cluster of databases, with checksums on all pages. */
  async init(): Promise<void> {
    await Deno.mkdir(this.data, { mode: 0o700 });
    await Deno.mkdir(this.dir);
    await must(["chown", "postgres", this.data, this.dir]);
    await this.must("initdb", "-D", this.data, "--data-checksums", "-A", "trust");
  }

  /** Starts the server; resolves when it takes queries, after recovery if there is need of it. */
  async start(): Promise<void> {
    const settings = ["listen_addresses=", `unix_socket_directories=${this.dir}`];
    const argv = this.#as("postgres", "-D", this.data, ...settings.flatMap((each) => ["-c", each]));
    const server = new Process(argv, `${this.dir}/server.log`);
    this.#server = server;
    await until("the server takes queries", async () => {
      if (!server.running) throw new Error(`The server ended\n${server.lastWords()}`);
      return (await run(this.#as("pg_isready"))).code === 0;
    }, PATIENCE_MS);
  }

  /** Ends the server in order, or as a crash does; resolves when no process of it is left. */
  async end(signal: "SIGINT" | "SIGKILL" = "SIGINT"): Promise<void> {
    const children = this.#server!.running
      ? (await run(["pgrep", "-P", String(this.#server!.pid)])).out.trim().split("\n")
      : [];
    await this.#server!.end(signal);
    await until(
      "all its processes have ended",
      () => !children.some((pid) => exists(`/proc/${pid}`)),
    );
  }

  /** Four clients that work for so long. */
  load(seconds: number): Load {
    // With -n what is there stays: else it empties the table in which it notes each transaction.
    const clients = ["-n", "-c", "4", "-j", "2"];
    const argv = this.#as("pgbench", ...clients, "-T", String(seconds), "postgres");
    const process = new Process(argv, `${this.dir}/pgbench-${crypto.randomUUID()}.log`);
    return {
      process,
      async acknowledged() {
        await until("the load has ended", () => !process.running, PATIENCE_MS);
        const told = /transactions actually processed: (\d+)/.exec(process.lastWords());
        if (!told) throw new Error(process.lastWords());
        return Number(told[1]);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server) await this.end("SIGKILL");
  }
}
