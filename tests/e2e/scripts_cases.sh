#!/bin/bash
# What test scripts written for GlusterFS do, step by step, with whatever gluster, glusterd and
# glusterfsd come first on PATH; mounts are GlusterFS's own. Every step says "ok NAME" or
# "not ok NAME: why"; the last line is "done". For machines of their own: it ends every process of
# GlusterFS's names and empties its state directory.
#
#     scripts_cases.sh HOST DIRECTORY CASE…     HOST: a name or an address of this machine

HOST=$1 B=$2/bricks M=$2/mnt
CASE=setup
RUN=/var/run/gluster STATE=/var/lib/glusterd
SOON=60 LONG=120
shift 2

say() { printf '%s\n' "$*"; }
on_line() { tr '\n' '|' <<<"$*" | sed 's/|$//'; }
ok() { say "ok $CASE: $(on_line "$@")"; }
not_ok() { say "not ok $CASE: $(on_line "$1"): $(on_line "$2" | tail -c 1000)"; }
# The command succeeds.
does() { local out; out=$("$@" 2>&1) && ok "$*" || not_ok "$*" "exit code $? $out"; }
# It fails in order: not by a signal, not as a program that is not there.
fails() {
  local out code
  out=$("$@" 2>&1) && code=0 || code=$?
  case $code in
    0 | 12[6-9] | 1[3-9]?) not_ok "fails: $*" "exit code $code $out" ;;
    *) ok "fails: $*" ;;
  esac
}
# It prints something that a pattern (as in grep -x -E) matches whole.
prints() {
  local want=$1 out
  shift
  out=$("$@" 2>&1)
  [[ $out =~ ^($want)$ ]] && ok "$* prints $want" || not_ok "$* prints $want" "$out"
}
# It takes at most so many milliseconds. The fastest counts: what else runs here makes others slow.
takes() {
  local most=$1 i began took ms=999999
  shift
  for i in $(seq 20); do
    began=${EPOCHREALTIME/./}
    "$@" >/dev/null
    took=$(((${EPOCHREALTIME/./} - began) / 1000))
    [ $took -lt $ms ] && ms=$took
    [ $i -ge 3 ] && [ $ms -le "$most" ] && break
  done
  [ $ms -le "$most" ] && ok "$* takes $ms ms" || not_ok "$* takes at most $most ms" "$ms ms"
}
# It prints such a thing within so many seconds.
within() {
  local seconds=$1 want=$2 out end
  shift 2
  end=$((SECONDS + seconds))
  while :; do
    out=$("$@" 2>&1)
    [[ $out =~ ^($want)$ ]] && { ok "$* gets $want"; return; }
    [ $SECONDS -ge $end ] && { not_ok "$* gets $want in $seconds s" "$out"; return; }
    sleep 0.1
  done
}

g() { gluster --mode=script --wignore "$@"; }

# ---- what scripts look at

started() { pidof "$1" >/dev/null && echo Y || echo N; }
count_of() { pgrep -c "$@"; }
field() { gluster volume info "$1" | grep "^$2: " | sed "s/^$2: //"; }
brick_pid_file() { say "$RUN/vols/$1/$2$(say "$3" | tr / -).pid"; }
brick_pid() { cat "$(brick_pid_file "$@")"; }
brick_socket() { tr '\0' '\n' <"/proc/$(brick_pid "$@")/cmdline" | grep '\.socket$'; }
brick_state() { g volume status "$1" "$2:$3" --xml | sed -n 's/.*<status>\([01]\)<\/status>.*/\1/p'; }
bricks_online() { g volume status "$1" --xml | grep -A 3 '<path>/' | grep -c '<status>1'; }
end_brick() { gf_attach -d "$(brick_socket "$@")" "$3" >/dev/null; }
mount_pid() { ps auxww | grep glusterfs | grep -E "volfile-id[ =]/?$1 .*$2" | awk '{print $2}' | head -1; }
volume_there() { gluster volume info "$1" >/dev/null 2>&1 && echo Y || echo N; }
option_of() { gluster volume get "$1" "$2" | tail -1 | awk '{print $2}'; }
option_line() { gluster volume info "$1" | grep "^$2: " | awk '{print $2}'; }
mounted() { df -T "$1" 2>/dev/null | grep -q fuse.glusterfs && echo Y || echo N; }
xattr_hex() { getfattr -d -m . -e hex --absolute-names "$2" 2>/dev/null | sed -n "s/^$1=0x//p"; }
# Statedump of a process, as a file name; nothing if it does not come in 30 s.
dump_of() {
  local pid=$1 i file
  rm -f "$RUN"/*."$pid".dump.*
  kill -USR1 "$pid"
  for i in $(seq 300); do
    file=$(ls "$(gluster --print-statedumpdir)"/*."$pid".dump.* 2>/dev/null | head -1)
    [ -n "$file" ] && tail -1 "$file" | grep -q ^DUMP-END-TIME && { say "$file"; return; }
    sleep 0.1
  done
}
child_up() {
  local file line
  file=$(dump_of "$(mount_pid "$1" "$2")")
  line=$(grep -n "pending_key\[[0-9]*\]=trusted.afr.$1-client-$3\$" "$file" | head -1 | cut -d: -f1)
  sed -n "$((line - 1))s/.*=//p" "$file"
  rm -f "$file"
}
children_up() {
  local file
  file=$(dump_of "$(mount_pid "$1" "$2")")
  grep -A 20 "^\[cluster/disperse.$1-disperse-0\]" "$file" | sed -n 's/^childs_up=//p'
  rm -f "$file"
}

mount_volume() { glusterfs --volfile-id="/$1" --volfile-server="$HOST" --entry-timeout=0 --attribute-timeout=0 "$2"; }
unmount() { umount "$1" 2>/dev/null || umount -l "$1" 2>/dev/null; }

# Ends everything and forgets everything, as scripts do before and after each file.
clean_up() {
  local each i
  for each in "$M"/*; do mountpoint -q "$each" && umount -l "$each"; done
  pkill -TERM '^gluster(fs|fsd|d)$'
  for i in $(seq 300); do pgrep '^gluster(fs|fsd|d)$' >/dev/null || break; sleep 0.1; done
  pgrep -a '^gluster(fs|fsd|d)$' && not_ok "all are gone within $SOON s" "$(pgrep -a gluster)"
  pkill -KILL '^gluster(fs|fsd|d)$'
  find $STATE -mindepth 1 -maxdepth 1 ! -name hooks ! -name groups -exec rm -rf {} +
  rm -rf "$B" $RUN/* /var/run/glusterd.pid /var/run/glusterd.socket
  mkdir -p "$B" "$M"/{0,1,2}
}

# ---- cases

case_daemon() {
  does glusterd
  prints Y started glusterd
  prints 1 count_of -x glusterd
  prints 'glusterd *' ps -o args= -p "$(pidof glusterd)"
  prints /var/log/glusterfs gluster --print-logdir
  prints /var/run/gluster gluster --print-statedumpdir
  prints '' find "$(gluster --print-logdir)" -name glusterd.log -empty
  prints $'hooks\nvols' bash -c "cd $STATE; ls -d hooks vols"
  does ls -d $STATE/peers $STATE/hooks/1/start/post
  does gluster peer status
  prints 'Number of Peers: 0' gluster peer status
  does gluster system uuid get
  prints 'UUID=[-0-9a-f]{36}' grep UUID $STATE/glusterd.info
  prints 'operating-version=[0-9]+' grep operating-version $STATE/glusterd.info
  prints 'No volumes present( in cluster)?' bash -c 'gluster volume list 2>&1'
  fails gluster volume info none
  fails gluster volume frobnicate
  fails gluster --no-such-option volume info
  local uuid
  uuid=$(sed -n s/UUID=//p $STATE/glusterd.info)
  local dump
  dump=$(dump_of "$(pidof glusterd)")
  prints '.*/glusterdump\.[0-9]+\.dump\.[0-9]+' say "$dump"
  fails glusterd
  does pkill glusterd
  within $SOON N started glusterd
  fails gluster volume list
  prints '.*Please check if gluster daemon is operational.*' bash -c 'gluster volume list 2>&1'
  does glusterd -LDEBUG
  prints "$uuid" sed -n s/UUID=//p $STATE/glusterd.info
  does killall -9 glusterd
  within $SOON N started glusterd
  does glusterd --pid-file=/var/run/other.pid --log-file=/var/log/glusterfs/other.log
  prints "$(pidof glusterd)" cat /var/run/other.pid
  does test -s /var/log/glusterfs/other.log
  rm -f /var/run/other.pid
}

case_shapes() {
  does glusterd
  does g volume create plain "$HOST:$B/plain"
  prints Distribute field plain Type
  prints 1 field plain 'Number of Bricks'
  prints Created field plain Status
  prints 0 field plain 'Snapshot Count'
  does g volume create dist "$HOST:$B"/dist{1,2,3}
  prints 3 field dist 'Number of Bricks'
  does g volume create rep replica 3 "$HOST:$B"/rep{1..6} force
  prints '2 x 3 = 6' field rep 'Number of Bricks'
  prints Distributed-Replicate field rep Type
  prints "$HOST:$B/rep4" field rep Brick4
  does g volume create two replica 2 "$HOST:$B"/two{0,1} force
  prints '1 x 2 = 2' field two 'Number of Bricks'
  prints Replicate field two Type
  fails g volume create three replica 3 "$HOST:$B"/three{1,2}
  fails g volume create three replica 3 "$HOST:$B"/three{1,2,3,4} force
  does g volume create arb replica 3 arbiter 1 "$HOST:$B"/arb{1,2,3} force
  prints '1 x \(2 \+ 1\) = 3' field arb 'Number of Bricks'
  prints "$HOST:$B/arb3 \(arbiter\)" field arb Brick3
  does g volume create arb2 replica 2 arbiter 1 "$HOST:$B"/arb2{1,2,3} force
  does g volume create ec redundancy 1 "$HOST:$B"/ec{1,2,3} force
  prints '1 x \(2 \+ 1\) = 3' field ec 'Number of Bricks'
  prints Disperse field ec Type
  does g volume create ec6 disperse 6 redundancy 2 "$HOST:$B"/ec6{1..12} force
  prints '2 x \(4 \+ 2\) = 12' field ec6 'Number of Bricks'
  prints Distributed-Disperse field ec6 Type
  does g volume create ecd disperse-data 4 redundancy 2 "$HOST:$B"/ecd{1..6} force
  fails g volume create plain "$HOST:$B/other"
  fails g volume create again "$HOST:$B/plain"
  prints 'volume create: again: failed: .*' bash -c "gluster volume create again $HOST:$B/plain 2>&1"
  prints N volume_there again
  does g volume create tr transport tcp "$HOST:$B/tr"
  prints tcp field tr Transport-type
  fails g volume create far "no.such.host:$B/far"
  fails g volume create
  for each in plain dist rep two arb arb2 ec ec6 ecd tr; do
    does g volume delete $each
    prints N volume_there $each
  done
  does g volume create plain "$HOST:$B/plain" force
  fails g volume delete none
}

case_life() {
  does glusterd
  local log lines
  lines=$(wc -l </var/log/glusterfs/cmd_history.log 2>/dev/null || echo 0)
  does g volume create v replica 2 "$HOST:$B"/v{0,1,2,3} force
  prints 'volume start: v: success' g volume start v
  prints Started field v Status
  fails g volume start v
  fails g volume delete v
  fails g volume create w "$HOST:$B/v0"
  within $SOON 4 bricks_online v
  prints 1 brick_state v "$HOST" "$B/v2"
  prints 4 count_of glusterfsd
  prints 4 bash -c "ps auxww | grep glusterfsd | grep -v grep | grep -c 'volfile-id v\.$HOST\.'"
  # Brick rows by word: port 3rd, online 5th, pid 6th.
  prints '[0-9]+ 0 Y [0-9]+' bash -c "gluster volume status v | grep -A1 $B/v0 | tr '\n' ' ' | sed 's/Brick [^ ]*v[13].*//' | awk '{print \$3,\$4,\$5,\$6}'"
  prints "$(brick_pid v "$HOST" "$B/v1")" bash -c "gluster volume status v $HOST:$B/v1 --xml | sed -n 's/.*<pid>\(.*\)<.pid>/\1/p'"
  prints '.*There are no active volume tasks.*' bash -c 'gluster volume status v | tail -3 | tr -d "\n"'
  prints 'TCP Port *: [0-9]+ *' bash -c "gluster volume status v $HOST:$B/v0 detail | grep '^TCP Port'"
  does gluster volume status all
  does gluster volume status
  prints 4 bash -c "gluster volume status all --xml | grep -c '<hostname>$HOST<'"
  does bash -c "gluster volume info v --xml | xmllint --noout -"
  does bash -c "gluster volume status v --xml | xmllint --noout -"
  for each in detail clients mem inode fd callpool tasks; do does gluster volume status v $each; done
  does ls "$STATE/vols/v/info" "$STATE/vols/v/bricks/$HOST:$(say "$B/v0" | tr / -)" "$STATE/vols/v/trusted-v.tcp-fuse.vol" "$STATE/vols/v/v.tcp-fuse.vol" "$STATE/vols/v/v.$HOST.$(say "${B#/}/v0" | tr / -).vol"
  prints 'status=1' grep ^status= $STATE/vols/v/info
  prints '[-0-9a-f]{36}' field v 'Volume ID'
  prints "$(field v 'Volume ID' | tr -d -)" xattr_hex trusted.glusterfs.volume-id "$B/v0"
  does test -s "/var/log/glusterfs/bricks/$(say "${B#/}/v0" | tr / -).log"
  does bash -c "tail -n +$((lines + 1)) /var/log/glusterfs/cmd_history.log | grep 'volume start v : SUCCESS'"
  does bash -c "gluster --log-file=$B/own.log system getspec v | grep -c 'type protocol/client' | grep -qx 4"
  prints 'volume stop: v: success' g volume stop v
  prints Stopped field v Status
  fails g volume stop v
  fails gluster volume status v
  prints 0 count_of glusterfsd
  fails ls "$(brick_pid_file v "$HOST" "$B/v0")"
  does g volume start v force
  within $SOON 4 bricks_online v
  does g volume stop v force
  prints 'volume delete: v: success' g volume delete v
  prints N volume_there v
  fails ls $STATE/vols/v
  does g volume create v "$HOST:$B/v0"
}

case_bricks() {
  local before port
  does glusterd
  does g volume create v replica 3 "$HOST:$B"/v{0,1,2} force
  does g volume set v cluster.self-heal-daemon off
  does g volume start v
  within $SOON 3 bricks_online v
  does kill -0 "$(brick_pid v "$HOST" "$B/v0")"
  prints "/var/run/gluster/[0-9a-f]{16}\.socket" brick_socket v "$HOST" "$B/v0"
  prints '/usr/sbin/glusterfsd -s [^ ]+ --volfile-id v\.[^ ]+ -p /var/run/gluster/vols/v/[^ ]+\.pid -S /var/run/gluster/[0-9a-f]+\.socket --brick-name [^ ]+/v0 -l /var/log/glusterfs/bricks/[^ ]+\.log --xlator-option \*-posix\.glusterd-uuid=[-0-9a-f]+ --process-name brick --brick-port [0-9]+ --xlator-option v-server\.listen-port=[0-9]+' ps -o args= -p "$(brick_pid v "$HOST" "$B/v0")"
  before=$(brick_pid v "$HOST" "$B/v1")
  end_brick v "$HOST" "$B/v1"
  within $SOON 0 brick_state v "$HOST" "$B/v1"
  within $SOON N bash -c "kill -0 $before 2>/dev/null && echo Y || echo N"
  prints 2 bricks_online v
  prints 'N/A +N/A +N +N/A *' bash -c "gluster volume status v | grep -A1 /v1 | tr -d '\n' | sed 's/.*v1 *//; s/Brick.*//'"
  does g volume start v force
  within $LONG 1 brick_state v "$HOST" "$B/v1"
  prints 3 count_of glusterfsd
  does kill -9 "$(brick_pid v "$HOST" "$B/v2")"
  within $SOON 0 brick_state v "$HOST" "$B/v2"
  does g volume start v force
  within $LONG 3 bricks_online v
  # The daemon goes and comes, and the bricks neither.
  before=$(pgrep glusterfsd | sort | tr '\n' ' ')
  does pkill glusterd
  within $SOON N started glusterd
  prints 3 count_of glusterfsd
  does glusterd
  within $SOON 3 bricks_online v
  prints "$before" bash -c "pgrep glusterfsd | sort | tr '\n' ' '"
  does killall -9 glusterd
  end_brick v "$HOST" "$B/v0"
  within $SOON 2 count_of glusterfsd
  does glusterd
  # A daemon that begins starts what is missing.
  within $LONG 3 bricks_online v
  does pkill glusterfsd
  within $SOON 0 count_of glusterfsd
  within $SOON 0 bricks_online v
  does g volume start v force
  within $LONG 3 bricks_online v
  does pkill gluster
  within $SOON 0 count_of gluster
  does glusterd
  within $LONG 3 bricks_online v
  prints Started field v Status
  # One that is stopped for a while hangs nobody.
  before=$(brick_pid v "$HOST" "$B/v1")
  does kill -STOP "$before"
  does timeout 60 gluster volume status v --xml
  does kill -CONT "$before"
  within $SOON 3 bricks_online v
  # A directory that is gone is not made again.
  end_brick v "$HOST" "$B/v1"
  within $SOON 0 brick_state v "$HOST" "$B/v1"
  does g volume stop v
  does mv "$B/v1" "$B/away"
  fails g volume start v
  does g volume start v force
  within $LONG 2 bricks_online v
  does mv "$B/away" "$B/v1"
  does g volume start v force
  within $LONG 3 bricks_online v
  local dump
  dump=$(dump_of "$(brick_pid v "$HOST" "$B/v0")")
  prints "/var/run/gluster/$(say "${B#/}/v0" | tr / -)\.[0-9]+\.dump\.[0-9]+" say "$dump"
  prints 'DUMP-START-TIME.*' head -1 "$dump"
  rm -f "$RUN"/*.dump.*
  prints 'volume statedump: success' g volume statedump v
  within $SOON 3 bash -c "cat $RUN/*.dump.* 2>/dev/null | grep -c ^DUMP-END-TIME"
  rm -f "$RUN"/*.dump.*
  does g volume statedump v all
  does g volume stop v
  does g volume delete v
}

case_options() {
  does glusterd
  does g volume create v replica 2 "$HOST:$B"/v{0,1} force
  for each in performance.{write-behind,stat-prefetch,quick-read,io-cache,read-ahead,open-behind,readdir-ahead,md-cache-timeout,client-io-threads}; do
    case $each in
      *timeout) prints 'volume set: success' g volume set v $each 1 ;;
      *) prints 'volume set: success' g volume set v $each off ;;
    esac
  done
  prints off option_line v performance.write-behind
  prints off option_of v performance.io-cache
  prints 1 option_of v performance.md-cache-timeout
  prints off option_of v cluster.readdir-optimize
  does g volume set v cluster.quorum-type none cluster.eager-lock on diagnostics.client-log-level DEBUG
  for each in self-heal-daemon:off data-self-heal:off metadata-self-heal:off entry-self-heal:off background-self-heal-count:0 \
    heal-timeout:5 quorum-type:auto ensure-durability:off lookup-optimize:on min-free-disk:10% rebal-throttle:lazy; do
    does g volume set v cluster.${each%%:*} "${each#*:}"
  done
  # Names may be cut to their last part, words may be spelled in many ways.
  does g volume set v self-heal-daemon on
  does g volume set v write-behind yes
  does g volume set v performance.cache-size 64MB
  does g volume set v features.shard on features.shard-block-size 4MB
  does g volume set v network.ping-timeout 5
  does g volume set v storage.build-pgfid on
  does g volume set v storage.owner-uid 1000
  does g volume set v features.uss disable
  does g volume set v client.ssl off
  does g volume set v auth.allow '127.0.0.1,10.*'
  does g volume set v user.anything goes
  prints goes option_of v user.anything
  does g volume set all cluster.brick-multiplex disable
  does g volume set all cluster.server-quorum-ratio 51
  does g volume reset all
  fails g volume set v no.such.option 1
  fails g volume set v performance.write-behind maybe
  fails g volume set v network.ping-timeout abc
  fails g volume set none performance.write-behind off
  fails g volume get v no.such.option
  fails g volume set v performance.write-behind
  does bash -c 'gluster volume set help | grep -q "^Option: performance.write-behind"'
  does bash -c 'gluster volume get v all | grep -q "^performance.io-thread-count  *16"'
  does g volume reset v performance.md-cache-timeout
  prints '' option_line v performance.md-cache-timeout
  does g volume reset v
  prints '' option_line v performance.write-behind
  # Groups are files beside the state.
  printf 'performance.quick-read=off\ncluster.eager-lock=enable\n' >$STATE/groups/ours
  does g volume set v group ours
  prints off option_line v performance.quick-read
  does g volume set v group virt
  prints granular option_line v cluster.locking-scheme
  fails g volume set v group none
  rm -f $STATE/groups/ours
  does g volume reset v
  # A volfile says what was set.
  does g volume set v performance.io-cache on performance.cache-size 77MB
  prints '[12]' grep -c 'cache-size 77MB' $STATE/vols/v/v.tcp-fuse.vol
  does g volume set v debug.trace client
  prints 1 grep -c 'type debug/trace' $STATE/vols/v/v.tcp-fuse.vol
  # Packages do this after an upgrade: volfiles are made anew, and that is all.
  does pkill glusterd
  within $SOON N started glusterd
  echo >$STATE/vols/v/v.tcp-fuse.vol
  does bash -c "timeout 120 glusterd --xlator-option '*.upgrade=on' -N; [ \$? != 124 ]"
  prints N started glusterd
  does grep -q protocol/client $STATE/vols/v/v.tcp-fuse.vol
  does glusterd
  does g volume set v debug.error-gen client debug.error-fops lookup debug.error-number EIO
}

case_mounts() {
  local pid i
  does glusterd
  does g volume create v replica 3 "$HOST:$B"/v{0,1,2} force
  does g volume set v cluster.self-heal-daemon off
  for each in data metadata entry; do does g volume set v cluster.$each-self-heal on; done
  for each in write-behind stat-prefetch quick-read io-cache read-ahead open-behind; do does g volume set v performance.$each off; done
  does g volume start v
  does mount_volume v "$M/0"
  prints Y mounted "$M/0"
  prints '[0-9]+' mount_pid v "$M/0"
  for i in 0 1 2; do within $LONG 1 child_up v "$M/0" $i; done
  does bash -c "echo hello > $M/0/f; mkdir -p $M/0/d/e; for i in \$(seq 20); do echo \$i > $M/0/d/f\$i; done"
  for i in 0 1 2; do
    prints hello cat "$B/v$i/f"
    prints "$(md5sum <"$M/0/f")" bash -c "md5sum <$B/v$i/f"
    prints 20 bash -c "ls $B/v$i/d | grep -c f"
    prints '[0-9a-f]{32}' xattr_hex trusted.gfid "$B/v$i/f"
    does ls -d "$B/v$i/.glusterfs/indices/xattrop" "$B/v$i/.glusterfs/unlink"
  done
  prints 2 stat -c %h "$B/v0/f"
  local gfid
  gfid=$(xattr_hex trusted.gfid "$B/v0/f" | sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12})/\1-\2-\3-\4-\5/')
  prints "$(stat -c %i "$B/v0/f")" stat -c %i "$B/v0/.glusterfs/${gfid:0:2}/${gfid:2:2}/$gfid"
  prints "$gfid" getfattr -n glusterfs.gfid.string --only-values --absolute-names "$M/0/f"
  does ln "$M/0/f" "$M/0/d/second"
  within $SOON 2 bash -c "getfattr -n glusterfs.gfidtopath --only-values --absolute-names $M/0/f | tr : '\n' | grep -cE '^(/f|/d/second)\$'"
  prints '/d/e' getfattr -n glusterfs.ancestry.path --only-values --absolute-names "$M/0/d/e"
  prints ".*<POSIX\($B/v0\):$HOST:$B/v0/(f|d/second)>.*" getfattr -n trusted.glusterfs.pathinfo --only-values --absolute-names "$M/0/f"
  end_brick v "$HOST" "$B/v1"
  within $SOON 0 brick_state v "$HOST" "$B/v1"
  within $LONG 0 child_up v "$M/0" 1
  does bash -c "echo more >> $M/0/f"
  prints hello cat "$B/v1/f"
  prints 000000010000000000000000 xattr_hex trusted.afr.v-client-1 "$B/v0/f"
  prints 1 bash -c "ls $B/v0/.glusterfs/indices/xattrop | grep -c $gfid"
  does g volume start v force
  within $LONG 1 brick_state v "$HOST" "$B/v1"
  within $LONG 1 child_up v "$M/0" 1
  does cat "$M/0/f"
  # The self-heal of a client, as the self-heal daemon is off.
  within $LONG $'hello\nmore' bash -c "stat $M/0/f >/dev/null; cat $M/0/f >/dev/null; cat $B/v1/f"
  # Options reach bricks and mounts that serve.
  does g volume set v storage.owner-uid 77 storage.owner-gid 78
  within $SOON 77:78 stat -c %u:%g "$B/v2"
  prints 1 bash -c "cat $M/0/.meta/graphs/active/v-replicate-0/private | grep -c 'child_up\[0\] = 1'"
  does g volume set v diagnostics.client-log-level DEBUG
  within $SOON '(8|DEBUG|Debug)' cat "$M/0/.meta/logging/loglevel"
  does g volume set v performance.write-behind on
  within $SOON performance/write-behind cat "$M/0/.meta/graphs/active/v-write-behind/type"
  prints 'hello.*' bash -c "head -1 $M/0/f"
  # Bricks survive the daemon, mounts as well.
  does pkill glusterd
  within $SOON N started glusterd
  does bash -c "echo x > $M/0/while-away"
  prints x cat "$B/v2/while-away"
  does glusterd
  within $SOON 3 bricks_online v
  does mount -t glusterfs "$HOST:/v" "$M/1"
  prints x cat "$M/1/while-away"
  does glusterfs -s "$HOST" --volfile-id v --read-only "$M/2"
  fails touch "$M/2/new"
  does unmount "$M/1"
  does glusterfs -f $STATE/vols/v/v.tcp-fuse.vol "$M/1"
  within $SOON x cat "$M/1/while-away"
  for i in 0 1 2; do does unmount "$M/$i"; done
  within $SOON 0 bash -c "ps auxww | grep -v grep | grep -c 'volfile-id[ =]/*v.*$M'"
  does g volume stop v
  does g volume delete v
  does g volume create ec disperse 3 redundancy 1 "$HOST:$B"/ec{0,1,2} force
  does g volume set ec disperse.background-heals 0
  does g volume start ec
  does mount_volume ec "$M/0"
  within $LONG 3 children_up ec "$M/0"
  does bash -c "echo striped > $M/0/f"
  prints 512 stat -c %s "$B/ec1/f"
  end_brick ec "$HOST" "$B/ec1"
  within $LONG 2 children_up ec "$M/0"
  prints striped cat "$M/0/f"
  does unmount "$M/0"
}

case_figures() {
  does glusterd
  does g volume create v "$HOST:$B"/v{0,1} force
  does g volume start v
  does g volume profile v start
  fails g volume profile v start
  prints on option_line v diagnostics.count-fop-hits
  prints on option_line v diagnostics.latency-measurement
  does mount_volume v "$M/0"
  does bash -c "for i in \$(seq 8); do echo \$i > $M/0/f\$i; done"
  prints 2 bash -c 'gluster volume profile v info | grep -c "^Brick: "'
  does bash -c 'gluster volume profile v info | grep "^Cumulative Stats:"'
  does bash -c 'gluster volume profile v info | grep "^Interval [0-9]* Stats:"'
  prints 8 bash -c "gluster volume profile v info cumulative | awk '\$9 == \"CREATE\" { sum += \$8 } END { print sum }'"
  prints '[0-9.]+' bash -c "gluster volume profile v info cumulative | awk '\$9 == \"CREATE\" { print \$6; exit }'"
  does g volume profile v info peek
  does g volume profile v info incremental
  does g volume profile v info clear
  prints 0 bash -c 'gluster volume profile v info cumulative | grep -c CREATE'
  does g volume profile v stop
  fails g volume profile v stop
  prints '' option_line v diagnostics.count-fop-hits
  for each in open read write opendir readdir; do does g volume top v $each; done
  prints 8 bash -c "gluster volume top v write | awk '\$2 ~ /^.f[0-9]/ { sum += \$1 } END { print sum }'"
  does g volume top v open brick "$HOST:$B/v0" list-cnt 1
  does g volume top v read-perf bs 4096 count 1 brick "$HOST:$B/v0"
  does g volume top v clear
  does g volume barrier v enable
  fails g volume barrier v enable
  does g volume barrier v disable
  does g volume clear-locks v /f1 kind all inode
  does g volume clear-locks v /f1 kind granted posix 0,1-1
  does g volume clear-locks v / kind blocked entry f1
  fails g volume clear-locks v / kind some inode
  does g volume log v rotate
  fails g volume sync "$HOST"
  does gluster get-state odir "$B" file state-of-glusterd
  does grep -q 'Volume1.name: v' "$B/state-of-glusterd"
  does gluster system uuid get
  does unmount "$M/0"
}

case_hooks() {
  local hooks=$STATE/hooks/1 event phase
  mkdir -p $hooks/{create,start,stop,set,delete,reset}/{pre,post}
  for event in create start stop set delete reset; do
    for phase in pre post; do
      printf '#!/bin/sh\necho %s %s "$@" >>%s\n' $event $phase "$B/hooks" >$hooks/$event/$phase/S99say.sh
      chmod +x $hooks/$event/$phase/S99say.sh
      cp $hooks/$event/$phase/S99say.sh $hooks/$event/$phase/K99say.sh
    done
  done
  does glusterd
  does g volume create v "$HOST:$B/v0" force
  does g volume start v
  does g volume set v user.a b
  does g volume stop v
  does g volume delete v
  within $SOON 10 bash -c "grep -cE '^(create|start|set|stop|delete) (pre|post) ' $B/hooks"
  for event in create start stop set delete; do
    prints 1 grep -c "^$event pre --volname=v" "$B/hooks"
    prints 1 grep -c "^$event post --volname=v" "$B/hooks"
  done
  prints 1 grep -c "^start post --volname=v --first=yes --version=1 --volume-op=start --gd-workdir=$STATE" "$B/hooks"
  prints 1 grep -c "^stop post --volname=v --last=yes" "$B/hooks"
  prints 1 grep -c "^set post --volname=v -o user.a=b --gd-workdir=$STATE" "$B/hooks"
  rm -f $hooks/*/*/[SK]99say.sh
}

# Layers that make trouble on purpose.
case_trouble() {
  does glusterd
  does g volume create v "$HOST:$B/v0" force
  does g volume set v performance.quick-read off
  does g volume set v debug.delay-gen posix
  does g volume set v delay-gen.delay-duration 2000000
  does g volume set v delay-gen.delay-percentage 100
  does g volume set v delay-gen.enable read
  does g volume start v
  does mount_volume v "$M/0"
  does bash -c "echo slow >$M/0/f"
  does unmount "$M/0"
  does mount_volume v "$M/0"
  prints slow bash -c "began=\$SECONDS; cat $M/0/f; [ \$((SECONDS - began)) -ge 1 ]"
  does unmount "$M/0"
  does g volume stop v
  does g volume reset v
  does g volume set v features.read-only on
  does g volume start v
  does mount_volume v "$M/0"
  fails touch "$M/0/new"
  does cat "$M/0/f"
  does g volume set v features.read-only off
  within $SOON Y bash -c "touch $M/0/new 2>/dev/null && echo Y"
  does unmount "$M/0"
}

# Several daemons on one machine, by options of the volume "management".
case_nodes() {
  local i d
  for i in 1 2; do
    d=$B/node$i
    mkdir -p "$d/run" "$d/log"
    does glusterd --xlator-option "management.working-directory=$d/work" \
      --xlator-option "management.run-directory=$d/run" \
      --xlator-option "management.transport.socket.bind-address=127.1.1.$i" \
      --xlator-option "management.glusterd-sockfile=$d/gd.sock" \
      --xlator-option "management.logging-directory=$d/log" \
      -p "$d/gd.pid" --log-file="$d/log/gd.log"
  done
  prints 2 count_of -x glusterd
  prints 2 bash -c 'ps auxww | grep -v grep | grep glusterd | grep -c 127.1.1'
  for i in 1 2; do
    d=$B/node$i
    does gluster --glusterd-sock="$d/gd.sock" --mode=script volume create v$i "127.1.1.$i:$d/brick" force
    does gluster --glusterd-sock="$d/gd.sock" --mode=script volume start v$i
    within $SOON 1 bash -c "gluster --glusterd-sock=$d/gd.sock volume status v$i --xml | grep -c '<status>1'"
    does ls "$d/run/vols/v$i/127.1.1.$i$(say "$d/brick" | tr / -).pid" "$d/work/vols/v$i/info" "$d/log/gd.log"
    does glusterfs --volfile-id=v$i --volfile-server=127.1.1.$i "$M/$i"
    does bash -c "echo $i > $M/$i/f"
    prints $i cat "$d/brick/f"
  done
  fails gluster --glusterd-sock="$B/node1/gd.sock" volume info v2
  # A node goes with all that has its address on its command line.
  pkill -9 -f 'gluster.*127\.1\.1\.2'
  within $SOON 1 count_of -x glusterd
  prints Started bash -c "gluster --glusterd-sock=$B/node1/gd.sock volume info v1 | sed -n 's/^Status: //p'"
}

# Scripts run thousands of commands, and a look for logs before each.
case_speed() {
  does glusterd
  does g volume create v "$HOST:$B/v0" force
  does g volume start v
  takes 50 gluster --print-logdir
  takes 300 gluster volume info v
  takes 300 gluster volume status v --xml
  takes 500 gluster volume set v performance.cache-size 33MB
}

for CASE in "$@"; do
  began=${EPOCHREALTIME/./}
  clean_up
  "case_$CASE"
  say "# $CASE: $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
done
CASE=end
clean_up
say done
