/** Certificates in a directory, by the names that QEMU and libnbd give them. */

import type { Env } from "core/env.ts";
import { TlsFailure, TlsServer } from "gateways/nbd/tls.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { plain } from "mgmt/plain.ts";

/** What the certificates are used for. */
export interface CertificatesOptions {
  /** Clients need no certificate; else they must show one that ca-cert.pem signed. */
  readonly anyClient: boolean;
}

/** The certificates as they were last read. */
export class TlsCertificates {
  readonly #directory: string;
  readonly #options: CertificatesOptions;
  readonly #env: Env;
  #server: TlsServer;

  private constructor(
    directory: string,
    options: CertificatesOptions,
    env: Env,
    server: TlsServer,
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#env = env;
    this.#server = server;
  }

  /** Throws CommandError: a file is missing, or is none of these. */
  static async read(
    directory: string,
    options: CertificatesOptions,
    env: Env,
  ): Promise<TlsCertificates> {
    return new TlsCertificates(directory, options, env, await serverOf(directory, options));
  }

  /** For the next connection. */
  get server(): TlsServer {
    return this.#server;
  }

  /** Reads them again; those that cannot be used are logged, and the old ones stay. */
  async reload(): Promise<void> {
    try {
      this.#server = await serverOf(this.#directory, this.#options);
      this.#env.log.info("certificates were read again", { from: this.#directory });
    } catch (error) {
      this.#env.log.error("the old certificates stay in use", { why: plain(error) });
    }
  }
}

async function serverOf(directory: string, { anyClient }: CertificatesOptions): Promise<TlsServer> {
  const text = async (name: string) => {
    try {
      return await Deno.readTextFile(`${directory}/${name}`);
    } catch (error) {
      throw new CommandError(`Cannot encrypt: ${directory}/${name}: ${plain(error)}`);
    }
  };
  const [certificate, key, authorities] = await Promise.all([
    text("server-cert.pem"),
    text("server-key.pem"),
    anyClient ? undefined : text("ca-cert.pem"),
  ]);
  try {
    return new TlsServer({ certificate, key, clientAuthorities: authorities });
  } catch (error) {
    if (!(error instanceof TlsFailure)) throw error;
    throw new CommandError(
      `Cannot encrypt with the certificates in ${directory}: ${error.message}`,
    );
  }
}
