/** Certificates of an authority made for one test, as `openssl` makes them. */

import { hasProgram } from "tests/fakes/programs.ts";

/** Whether they can be made here. */
export const CAN_CERTIFY = hasProgram("openssl");

/**
 * Makes ca-cert.pem, server-cert.pem (of localhost and 127.0.0.1) and client-cert.pem in a
 * directory, with their keys.
 */
export function certify(directory: string): void {
  const openssl = (...words: string[]) => {
    const { success, stderr } = new Deno.Command("openssl", {
      args: words,
      cwd: directory,
      stdout: "null",
      stderr: "piped",
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const ca = ["-keyout", "ca-key.pem", "-out", "ca-cert.pem", "-days", "2", "-subj", "/CN=test"];
  openssl("req", "-x509", ...fresh, ...ca);
  for (
    const [name, extensions] of [
      ["server", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"],
      ["client", "extendedKeyUsage=clientAuth\n"],
    ] as const
  ) {
    const [key, asked, made] = [`${name}-key.pem`, `${name}.csr`, `${name}-cert.pem`];
    Deno.writeTextFileSync(`${directory}/${name}.ext`, extensions);
    openssl("req", ...fresh, "-keyout", key, "-out", asked, "-subj", `/CN=${name}`);
    openssl(
      ...["x509", "-req", "-in", asked, "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem"],
      ...["-CAcreateserial", "-out", made, "-days", "2", "-extfile", `${name}.ext`],
    );
  }
}
