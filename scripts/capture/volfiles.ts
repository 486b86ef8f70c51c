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

/** A client that replicates over two bricks and heals on access. */
export function replicaVolfile(ports: readonly [number, number]): string {
  return clientVolume("v-client-0", ports[0]) + clientVolume("v-client-1", ports[1]) +
    `volume v-replicate-0
  type cluster/replicate
  option afr-pending-xattr v-client-0,v-client-1
  option data-self-heal on
  option metadata-self-heal on
  option entry-self-heal on
  option data-self-heal-algorithm diff
  option quorum-type none
  subvolumes v-client-0 v-client-1
end-volume
`;
}
