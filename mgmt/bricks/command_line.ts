/** Command lines of brick processes, in GlusterFS's own form: scripts find bricks by them. */

import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { BrickFiles } from "mgmt/home.ts";
import { endpointText } from "rpc/transport.ts";

/** What a command line says beside the brick's files. */
export interface BrickArguments {
  readonly volume: string;
  /** Directory that is served. */
  readonly path: string;
  readonly files: BrickFiles;
  /** Where the management daemon listens. */
  readonly server: { readonly host: string; readonly port: number };
  /** UUID of this node. */
  readonly nodeId: string;
  readonly port: number;
}

/** Arguments of a brick, for the program's role "brick". */
export function brickArguments(
  { volume, path, files, server, nodeId, port }: BrickArguments,
): string[] {
  return [
    ...["-s", serverText(server), "--volfile-id", files.volfileId],
    ...["-p", files.pidFile, "-S", files.socket],
    ...["--brick-name", path, "-l", files.logFile],
    ...["--xlator-option", `*-posix.glusterd-uuid=${nodeId}`],
    ...["--process-name", "brick", "--brick-port", String(port)],
    ...["--xlator-option", `${volume}-server.listen-port=${port}`],
  ];
}

const RESTORE = "--restore";

/** Arguments of a process that makes a brick what the snapshot with this id has; see `Bricks.restore`. */
export function restoreArguments(
  { volfileId, pidFile, logFile }: BrickFiles,
  server: BrickArguments["server"],
  nodeId: string,
  snapshot: string,
  missedBy: readonly string[],
): string[] {
  return [
    ...["-s", serverText(server), "--volfile-id", volfileId, "--no-portmap"],
    ...["-p", pidFile, "-l", logFile, "--xlator-option", `*-posix.glusterd-uuid=${nodeId}`],
    ...[RESTORE, snapshot],
    ...missedBy.length ? ["--restore-missed-by", missedBy.join(",")] : [],
  ];
}

/** Whether that is such a process, of the brick with this pid file. */
export function isRestoring(args: readonly string[], pidFile: string): boolean {
  return args.includes(RESTORE) && args.includes(pidFile);
}

/** How a command line names a management daemon. GlusterFS's scripts look for "-s HOST". */
export function serverText({ host, port }: BrickArguments["server"]): string {
  return port === MANAGEMENT_PORT && !host.includes(":")
    ? host
    : endpointText({ kind: "tcp", host, port });
}

/** What a brick's command line tells about it; undefined if it is no brick's. */
export function readBrickArguments(
  args: readonly string[],
): { pidFile: string; socket: string; path: string; port: number; server: string } | undefined {
  const after = (option: string) => {
    const at = args.indexOf(option);
    return at < 0 ? undefined : args[at + 1];
  };
  const pidFile = after("-p"), socket = after("-S"), path = after("--brick-name");
  const port = Number(after("--brick-port")), server = after("-s") ?? "";
  if (pidFile === undefined || socket === undefined || path === undefined) return undefined;
  return Number.isInteger(port) ? { pidFile, socket, path, port, server } : undefined;
}
