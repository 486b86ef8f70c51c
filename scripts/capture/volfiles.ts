/** Volfiles of the bricks and clients whose traffic is captured. */

/** A brick in `directory` that listens on loopback. */
export function brickVolfile(directory: string, port: number): string {
  return `volume posix
  type storage/posix
  option directory ${directory}
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume leases
  type features/leases
  option leases on
  subvolumes locks
end-volume
volume upcall
  type features/upcall
  option cache-invalidation on
  subvolumes leases
end-volume
volume index
  type features/index
  option index-base ${directory}/.glusterfs/indices
  option xattrop64-watchlist trusted.ec.dirty
  option xattrop-dirty-watchlist trusted.afr.dirty
  option xattrop-pending-watchlist trusted.afr.v-
  subvolumes upcall
end-volume
volume brick
  type debug/io-stats
  option unique-id ${directory}
  subvolumes index
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.listen-port ${port}
  option transport.socket.bind-address 127.0.0.1
  option auth.addr.brick.allow *
  subvolumes brick
end-volume
`;
}

function clientVolume(name: string, port: number): string {
  return `volume ${name}
  type protocol/client
  option transport-type tcp
  option remote-host 127.0.0.1
  option remote-port ${port}
  option remote-subvolume brick
end-volume
`;
}

/** A client of one brick that also subscribes to upcalls. */
export function clientVolfile(port: number): string {
  return clientVolume("v-client-0", port) + `volume v-md-cache
  type performance/md-cache
  option cache-invalidation on
  option md-cache-timeout 0
  subvolumes v-client-0
end-volume
`;
}

function clientVolumes(ports: readonly number[]): { text: string; names: string } {
  const names = ports.map((_, i) => `v-client-${i}`);
  return {
    text: ports.map((port, i) => clientVolume(names[i]!, port)).join(""),
    names: names.join(" "),
  };
}

/** A client that replicates over all bricks and heals on access. */
export function replicaVolfile(ports: readonly number[]): string {
  const { text, names } = clientVolumes(ports);
  return `${text}volume v-replicate-0
  type cluster/replicate
  option afr-pending-xattr ${names.replaceAll(" ", ",")}
  option data-self-heal on
  option metadata-self-heal on
  option entry-self-heal on
  option data-self-heal-algorithm diff
  option quorum-type none
  subvolumes ${names}
end-volume
`;
}

/** A client that cuts files into fragments, one of the bricks redundant. */
export function disperseVolfile(ports: readonly number[]): string {
  const { text, names } = clientVolumes(ports);
  return `${text}volume v-disperse-0
  type cluster/disperse
  option redundancy 1
  subvolumes ${names}
end-volume
`;
}

/** A client that spreads files over the bricks and sends its own times. */
export function distributeVolfile(ports: readonly number[]): string {
  const { text, names } = clientVolumes(ports);
  return `${text}volume v-dht
  type cluster/distribute
  subvolumes ${names}
end-volume
volume v-utime
  type features/utime
  subvolumes v-dht
end-volume
`;
}
