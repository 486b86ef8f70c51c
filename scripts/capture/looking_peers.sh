#!/bin/sh
# What `gluster` tells of the other nodes of a cluster of two; as looking.sh, which see.
set -u
out=$(realpath -m "$1")
[ "$(readlink /proc/self/ns/net)" = "$2" ] && echo "must not run in the machine's namespaces" && exit 1
mount --make-rprivate /
for each in /var/lib/glusterd /var/log/glusterfs /run /mnt; do
  mkdir -p "$each" && mount -t tmpfs tmpfs "$each"
done
ip link set lo up
ip addr add 10.88.0.1/32 dev lo
ip addr add 10.88.0.2/32 dev lo
printf '127.0.0.1 localhost\n10.88.0.1 first\n10.88.0.2 second-node.example\n' >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
. "$(dirname "$0")/looking_tools.sh"

node() { # ADDRESS DIRECTORY SOCKET
  mkdir -p "$2/run" "$2/log"
  glusterd --xlator-option "management.working-directory=$2" \
    --xlator-option "management.run-directory=$2/run" \
    --xlator-option "management.transport.socket.bind-address=$1" \
    --xlator-option "management.glusterd-sockfile=$3" \
    --log-file "$2/log/glusterd.log" --pid-file "$2/glusterd.pid" || exit 1
}

node 10.88.0.1 /mnt/first /run/glusterd.socket
node 10.88.0.2 /mnt/second /mnt/second.socket
wait_for gluster pool list
run peer probe 10.88.0.2
wait_for sh -c "gluster peer status | grep -q 'Peer in Cluster (Connected)'"
say peer-status-other peer status
say pool-list-other pool list
run peer probe second-node.example
wait_for sh -c "gluster peer status | grep -q 'Other names'"
say peer-status-names peer status
run get-state odir /mnt file state
sed -n '/^.Peers/,/^$/p' /mnt/state >"$out/state-peers"
kill "$(cat /mnt/second/glusterd.pid)"
wait_for sh -c "gluster peer status | grep -q Disconnected"
say peer-status-gone peer status
say pool-list-gone pool list
