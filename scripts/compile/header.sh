#!/bin/sh
# mortar @VERSION@: the program, and the Deno that runs it, packed behind this text. The first time it is
# run they are unpacked, by root into /var/cache/mortar for all users, otherwise into the user's cache.
# What was unpacked is run only if nobody but its owner can have written it, and it is unchanged.
set -eu

name=${0##*/}

# Scripts ask these before every step; mgmt/old_names/gluster.ts answers the same.
case "$name $*" in
  "gluster --print-logdir") echo /var/log/glusterfs && exit ;;
  "gluster --print-statedumpdir") echo /var/run/gluster && exit ;;
esac

# Directories named by the SHA-256 of what is packed, and of what is in them: name, mode, size, time.
runtime=@RUNTIME@
app=@APP@
files="@FILES@"

refuse() {
  echo "Cannot run mortar: $1" >&2
  exit 1
}

# Whether the directories $2… are the user $1's, and nobody else can write to them.
private() {
  owner=$1
  shift
  seen=$(stat -c '%F:%u:%a' -- "$@" 2>/dev/null) || return 1
  for each in $seen; do
    case $each in directory:"$owner":7[05][05]) ;; *) return 1 ;; esac
  done
}

# Whether all is in the directory $1 of the user $2, as it was unpacked.
sound() {
  private "$2" "$1" "$1/$runtime" "$1/$app" &&
    [ "$(LC_ALL=C && export LC_ALL && cd "$1" && stat -c '%n %f %s %Y' -- "$runtime"/* "$app"/*)" = "$files" ]
}

packed() {
  tail -c "+$1" "$0" | head -c "$2"
}

# Unpacks $3 bytes of this file from the $2nd on as the directory $1. It appears as a whole: of several
# who do that at once one wins.
unpack() {
  if [ -e "$base/$1" ] || [ -L "$base/$1" ]; then return; fi
  sum=$(packed "$2" "$3" | sha256sum)
  [ "${sum%% *}" = "$1" ] || refuse "$0 is damaged; get it again"
  new=$(mktemp -d "$base/new.XXXXXX" 2>/dev/null) || refuse "$base cannot be written"
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  why=$(packed "$2" "$3" | tar -xzopf - -C "$new" 2>&1) ||
    refuse "it cannot be unpacked in $base, is there room for 100 MB? (${why%%"$newline"*})"
  chmod 755 "$new"
  mv -T "$new" "$base/$1" 2>/dev/null || [ -d "$base/$1" ] || refuse "$base cannot be written"
  rm -rf "$new"
  trap - EXIT HUP INT TERM
}

unpack_all() {
  [ -d "$base" ] || (umask 022 && mkdir -p "$base") 2>/dev/null || refuse "$base cannot be made"
  private "$uid" "$base" || refuse "$base is not a directory that only you can write to; remove it"
  # What was left by one that was killed.
  find "$base" -maxdepth 1 -name 'new.??????' -mmin +60 -exec rm -rf {} +
  unpack "$runtime" @RUNTIME_PLACE@
  unpack "$app" @APP_PLACE@
  sound "$base" "$uid" ||
    refuse "$base/$runtime or $base/$app is not as it was unpacked; remove them"
}

newline='
'
base=/var/cache/mortar
if ! sound "$base" 0; then
  uid=$(id -u)
  if [ "$uid" != 0 ]; then
    [ -n "${XDG_CACHE_HOME:-${HOME:-}}" ] || refuse "neither HOME nor XDG_CACHE_HOME says where to unpack it"
    base=${XDG_CACHE_HOME:-$HOME/.cache}/mortar
  fi
  sound "$base" "$uid" || unpack_all
fi

case $name in
  gluster | glusterd | glusterfsd | glusterfs) set -- "--called=$name" "$@" ;;
  mount.glusterfs | mount.mortar) set -- "--called=$name" "$@" && name=mortar ;;
  *) name=mortar ;;
esac
[ -x "$base/$runtime/$name" ] || refuse "nothing in $base may be executed; is it mounted with noexec?"

case ${1:-} in
  client | --called=glusterfs | --called=mount.*) v8=@MOUNT_V8@ ;;
  *) v8= ;;
esac

DENO_NO_UPDATE_CHECK=1 exec "$base/$runtime/$name" run $v8 @FLAGS@ "$base/$app/@MAIN@" "$@"
