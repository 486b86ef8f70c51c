/** A cluster's volume through our own client. */

import { type Cluster, HOST } from "tests/e2e/harness.ts";
import { Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** `mortar client HOST:/VOLUME`. Dispose it before the cluster. */
export class OurMount implements AsyncDisposable {
  private constructor(readonly path: string, readonly process: Process) {}

  /** Mounts with these options, those of `mount -o`. */
  static of({ space, dir, volume }: Cluster, options: string): Promise<OurMount> {
    return OurMount.at(space, dir, `${HOST}:/${volume}`, options);
  }

  /** Mounts `source`, HOST:/VOLUME, in a new directory of `dir`. */
  static async at(
    space: Pick<Cluster["space"], "inside">,
    dir: string,
    source: string,
    options: string,
  ): Promise<OurMount> {
    const path = `${dir}/ours`;
    await Deno.mkdir(path);
    const argv = [MORTAR, "client", "--foreground", "-o", options, source];
    const process = new Process(space.inside([...argv, path]), `${path}.log`);
    await until("our client mounted", async () => {
      if (!process.running) throw new Error(`Our client ended\n${process.lastWords()}`);
      return (await run(["stat", "-c", "%i", path])).out.trim() === "1";
    });
    return new OurMount(path, process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", "-l", this.path]);
    await this.process.end("SIGTERM");
  }
}
