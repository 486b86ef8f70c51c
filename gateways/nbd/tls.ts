/**
 * TLS over a connection that began in the clear, as NBD's STARTTLS wants it. Deno's own TLS begins
 * with the connection, and only as a client's later: so this is node:tls, over our streams.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { Duplex } from "node:stream";
import { createServer, type TlsOptions, type TLSSocket } from "node:tls";
import { close, Ended, type Stream, writeAll } from "gateways/nbd/stream.ts";

/** Whom a server shows itself as, and whom it lets in; all PEM texts. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
  /** Clients must show a certificate that one of these signed; undefined: anybody may come. */
  readonly clientAuthorities: string | undefined;
}

/** TLS did not come about; the message says why. */
export class TlsFailure extends Error {
  override name = "TlsFailure";
}

/** The server's end of TLS, for any number of connections. */
export class TlsServer {
  readonly #options: TlsOptions;

  /** Throws TlsFailure: key or certificates cannot be used. */
  constructor({ certificate, key, clientAuthorities }: TlsIdentity) {
    try {
      if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
        throw new TlsFailure("the key is not the certificate's");
      }
      if (clientAuthorities !== undefined) new X509Certificate(clientAuthorities);
    } catch (error) {
      throw new TlsFailure(messageOf(error));
    }
    const asks = clientAuthorities !== undefined;
    this.#options = {
      cert: certificate,
      key,
      requestCert: asks,
      rejectUnauthorized: asks,
      minVersion: "TLSv1.2",
      ...(asks ? { ca: clientAuthorities } : {}),
    };
  }

  /**
   * Encrypts a connection, which is this one's from now on: closing the answer closes it. Throws
   * TlsFailure: the client broke off, or is not let in.
   */
  async accept(plain: Stream): Promise<Stream> {
    const stream = new PlainStream(plain);
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    // It listens nowhere. A TLSSocket by itself would take any certificate: only a server judges them.
    const server = createServer(this.#options, (socket) => {
      if (this.#options.requestCert && !socket.authorized) {
        socket.destroy();
        return reject(new TlsFailure(`its certificate: ${socket.authorizationError}`));
      }
      // Reads and writes tell of it; nobody listening would end the process.
      socket.on("error", () => {});
      resolve(socket);
    });
    server.on("tlsClientError", (error) => reject(new TlsFailure(messageOf(error))));
    stream.on("close", () => reject(new TlsFailure("the client went away")));
    server.emit("connection", stream);
    try {
      return new EncryptedStream(await promise);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }
}

/** Our stream as Node's, which TLS is made on. */
class PlainStream extends Duplex {
  readonly #stream: Stream;
  readonly #buffer = new Uint8Array(READ_BYTES);

  constructor(stream: Stream) {
    super();
    this.#stream = stream;
  }

  override _read(): void {
    this.#stream.read(this.#buffer).then(
      (count) => this.push(count ? this.#buffer.slice(0, count) : null),
      (error) => this.destroy(error),
    );
  }

  override _write(data: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    writeAll(this.#stream, data).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    close(this.#stream);
    done(error);
  }
}

/** Two records of TLS at their longest. */
const READ_BYTES = 32_768;

/** What comes and goes in it is in the clear. */
class EncryptedStream implements Stream {
  readonly #socket: TLSSocket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest = new Uint8Array(0);

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (!this.#rest.length) {
      const { done, value } = await this.#chunks.next().catch(lost);
      if (done) return null;
      this.#rest = new Uint8Array(value);
    }
    const count = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  write(data: Uint8Array): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      this.#socket.write(data, (error) => error ? reject(error) : resolve(data.length));
    }).catch(lost);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** However a connection breaks, the client went away. */
function lost(error: unknown): never {
  throw new Ended(messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
