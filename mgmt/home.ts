/** Where the management daemon keeps what: one directory tree, and one for what lives until reboot. */

/** Directories of a daemon, all absolute. */
export interface Places {
  /** State that lasts: the store, volfiles as text, hooks. */
  readonly home: string;
  /** What ends with the machine: pid files, sockets, statedumps. */
  readonly run: string;
  readonly logs: string;
  /** Socket of the command line. */
  readonly socket: string;
}

/** Places under one home: what `mortar mgmt --home DIR` has. */
export function placesUnder(home: string): Places {
  return { home, run: `${home}/run`, logs: `${home}/log`, socket: `${home}/run/mgmt.socket` };
}

/** Those of GlusterFS's `glusterd`. */
export const GLUSTERD_PLACES: Places = {
  home: "/var/lib/glusterd",
  run: "/var/run/gluster",
  logs: "/var/log/glusterfs",
  socket: "/var/run/glusterd.socket",
};

/** The home of `mortar mgmt` without --home: of the machine for root, of the user otherwise. */
export function defaultHome(
  { uid, env }: { uid: number | null; env: (name: string) => string | undefined },
): string {
  if (uid === 0) return "/var/lib/mortar";
  const data = env("XDG_DATA_HOME") ?? `${env("HOME") ?? "/tmp"}/.local/share`;
  return `${data}/mortar`;
}

/** A path as part of a file name, as GlusterFS spells it: "/d/backends/b1" is "d-backends-b1". */
export function dashed(path: string): string {
  return path.replace(/^\/+/, "").replaceAll("/", "-");
}

/** Files of one brick. */
export interface BrickFiles {
  /** What its volfile is asked for by: "VOLUME.HOST.d-backends-b1". */
  readonly volfileId: string;
  readonly pidFile: string;
  /** Unix socket on which it takes orders; short, as such paths may have 107 bytes. */
  readonly socket: string;
  readonly logFile: string;
}

/** Files of a brick; `socketId`: 16 hexadecimal digits of its own. */
export function brickFiles(
  places: Places,
  volume: string,
  { host, path }: { readonly host: string; readonly path: string },
  socketId: string,
): BrickFiles {
  return {
    volfileId: `${volume}.${host}.${dashed(path)}`,
    pidFile: `${places.run}/vols/${volume}/${host}-${dashed(path)}.pid`,
    socket: brickSocket(places, socketId),
    logFile: `${places.logs}/bricks/${dashed(path)}.log`,
  };
}

function brickSocket({ run }: Places, socketId: string): string {
  return `${run}/${socketId}.socket`;
}

/** As long a path as any socket of a brick has. */
export function longestSocket(places: Places): string {
  return brickSocket(places, "0".repeat(16));
}
