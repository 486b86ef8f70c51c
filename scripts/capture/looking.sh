#!/bin/sh
# What the real `gluster` and `glusterd` answer to commands that only look, one file a command in the
# directory given: "NAME.txt" and, with --xml, "NAME.xml": the command's words in the first line, then what
# came out, "[stderr]" and what came there, "[exit N]". scripts/capture/looking.ts runs it in
# namespaces of its own.
set -u
out=$(realpath -m "$1")
mkdir -p "$out"
mount --make-rprivate /
[ "$(readlink /proc/self/ns/net)" = "$2" ] && echo "must not run in the machine's namespaces" && exit 1
for each in /var/lib/glusterd /var/log/glusterfs /run /mnt; do
  mkdir -p "$each" && mount -t tmpfs tmpfs "$each"
done
ip link set lo up
host=10.88.0.1
ip addr add $host/32 dev lo
bricks=/mnt/bricks
mkdir -p $bricks /mnt/xfs /mnt/ext4 /mnt/m1 /mnt/m2
truncate -s 400M /mnt/xfs.img /mnt/ext4.img
mkfs.xfs -q /mnt/xfs.img
mkfs.ext4 -q /mnt/ext4.img
mount -o loop /mnt/xfs.img /mnt/xfs
mount -o loop,noatime /mnt/ext4.img /mnt/ext4
mkdir -p /run/gluster
glusterd --log-level WARNING || exit 1

. "$(dirname "$0")/looking_tools.sh"

wait_for gluster pool list
say peer-status-none peer status
say pool-list-own pool list
say list-none volume list
say info-none volume info
say info-all-none volume info all
say info-missing volume info nosuch
say status-none volume status
say status-missing volume status nosuch
say sync-own volume sync localhost
say sync-stranger volume sync 10.88.0.9
say getspec-missing system:: getspec nosuch

b() { # bricks NAME 1..N
  n=$1
  i=1
  while [ $i -le $2 ]; do
    printf '%s:%s/%s%s ' $host $bricks "$n" $i
    i=$((i + 1))
  done
}
run volume create dist $(b dist 2) force
run volume create one $host:$bricks/one force
run volume create rep replica 3 $(b rep 3) force
run volume create distrep replica 2 $(b distrep 4) force
run volume create arb replica 2 arbiter 1 $(b arb 6) force
run volume create disp disperse 6 redundancy 2 $(b disp 6) force
run volume create distdisp disperse 3 redundancy 1 $(b distdisp 6) force
run volume create disks $host:/mnt/xfs/b $host:/mnt/ext4/b $host:$bricks/disks force
long=$bricks/a-path-that-is-longer-than-the-column-of-the-table/by-quite-a-lot-so-that-it-takes-three-rows
mkdir -p $long
run volume create long $host:$long/b $host:$bricks/exactly-as-wide-as-it force
for v in dist one rep distrep arb disp distdisp disks long; do say info-created-$v volume info $v; done
say info-all-created volume info all
say list volume list
say status-created volume status dist
say status-created-detail volume status dist detail
say status-all-created volume status
for v in dist rep distrep arb disp disks long; do run volume start $v; done
run volume set dist cluster.lookup-optimize off
run volume set dist performance.read-ahead on
run volume set dist cluster.lookup-optimize on
run volume set dist user.odd '<"a" & b>'
run volume stop distrep
say info-stopped-distrep volume info distrep
say info-options-dist volume info dist
say info-all volume info
say status-stopped volume status distrep
wait_for sh -c "gluster volume status rep | grep -q 'Self-heal.*Y'"
wait_for sh -c "gluster volume status disp | grep -q 'Self-heal.*Y'"
for v in dist rep arb disp disks long; do say status-$v volume status $v; done
say status-all volume status all
say status-all-detail volume status all detail
say status-all-clients volume status all clients
say status-all-tasks volume status all tasks
for v in rep disks long; do say status-$v-detail volume status $v detail; done
for form in clients mem inode fd callpool tasks client-list; do say status-dist-$form volume status dist $form; done
mount -t glusterfs $host:/dist /mnt/m1
mount -t glusterfs $host:/dist /mnt/m2
mkdir -p /mnt/m1/d/e
for f in 1 2 3 4 5 6; do echo hello >/mnt/m1/d/f$f; done
sleep 1000 <>/mnt/m1/d/f1 &
holder1=$!
sleep 1000 </mnt/m2/d/f2 &
holder2=$!
for form in clients mem inode fd callpool tasks client-list; do say status-dist-used-$form volume status dist $form; done
for form in clients mem inode fd callpool tasks client-list detail; do say status-rep-$form volume status rep $form; done
say status-brick volume status dist $host:$bricks/dist1
say status-brick-detail volume status dist $host:$bricks/dist2 detail
say status-brick-clients volume status dist $host:$bricks/dist2 clients
say status-brick-fd volume status dist $host:$bricks/dist2 fd
say status-brick-tasks volume status dist $host:$bricks/dist2 tasks
say status-brick-missing volume status dist $host:$bricks/nosuch
say status-word-wrong volume status dist wrong
say status-word-wrong-2 volume status dist $host:$bricks/dist1 wrong
say status-all-wrong volume status all wrong
say status-all-shd-mem volume status all shd mem
say status-rep-shd volume status rep shd
say status-rep-shd-mem volume status rep shd mem
say status-rep-shd-inode volume status rep shd inode
say status-rep-shd-callpool volume status rep shd callpool
say status-rep-shd-clients volume status rep shd clients
say status-dist-shd volume status dist shd
for d in nfs quotad snapd bitd scrub; do say status-dist-$d volume status dist $d; done
say status-dist-nfs-fd volume status dist nfs fd
say status-dist-quotad-fd volume status dist quotad fd
say status-dist-snapd-fd volume status dist snapd fd
kill -9 "$(cat /run/gluster/vols/rep/$host-mnt-bricks-rep2.pid)"
wait_for sh -c "gluster volume status rep | grep -q 'rep2 .*N/A'"
say status-down-rep volume status rep
say status-down-rep-detail volume status rep detail
for form in clients mem inode fd callpool client-list; do say status-down-rep-$form volume status rep $form; done
say status-down-brick volume status rep $host:$bricks/rep2
run volume set arb cluster.self-heal-daemon off
say status-arb-no-shd volume status arb
say status-arb-shd-off volume status arb shd
run volume rebalance dist start
wait_for sh -c "gluster volume rebalance dist status | grep -q completed"
say status-dist-task volume status dist
say status-dist-task-tasks volume status dist tasks
run volume remove-brick disks $host:$bricks/disks start
wait_for sh -c "gluster volume remove-brick disks $host:$bricks/disks status | grep -q completed"
say status-disks-task volume status disks
mkdir /mnt/states
say get-state get-state glusterd odir /mnt/states file plain
say get-state-detail get-state odir /mnt/states/ file detail detail
say get-state-options get-state glusterd odir /mnt/states file options volumeoptions
say get-state-again get-state glusterd odir /mnt/states file plain
say get-state-no-dir get-state odir /mnt/none
say get-state-file-dir get-state odir /mnt/states/plain
say get-state-is-dir get-state odir /mnt file states
say get-state-up get-state odir /mnt/states file ../up
say get-state-other get-state shd
say get-state-wrong get-state wrong words
say get-state-default get-state
cp /mnt/states/plain "$out/state-plain"
cp /mnt/states/detail "$out/state-detail"
sed -n 1,10p /mnt/states/options >"$out/state-options"
say getspec system:: getspec one
say sync-known volume sync $host one
kill $holder1 $holder2
