#!/bin/sh
# snapshot_views.sh before|after DIR [FILES]: a tree of every kind, and changes of every kind to it.
set -e
what=$1; cd "$2"

before() {
  mkdir -p deep/1/2/3/4/5/6/7/8/9 dir/sub many gone moved empty
  echo deep > deep/1/2/3/4/5/6/7/8/9/file
  for i in $(seq 1 20); do seq $i 500 > dir/file-$i; done
  seq 1 200000 > large; cp large large2; cp large truncated; cp large removed; cp large replaced
  ln large dir/hard; ln dir/file-1 dir/sub/hard-1
  ln -s dir/file-2 soft; ln -s /nowhere/at/all dir/broken
  mkfifo fifo
  truncate -s 8M sparse; printf data | dd of=sparse bs=1 seek=5000000 conv=notrunc 2>/dev/null
  setfattr -n user.color -v red dir/file-3; setfattr -n user.color -v blue dir
  setfacl -m u:12:rwx,g:34:r dir/file-4; setfacl -d -m u:12:rx dir/sub
  chmod 4755 dir/file-5; chown 12:34 dir/file-6; chmod 1777 empty
  touch -d '2001-02-03 04:05:06.789' dir/file-7
  echo x > 'gone/name with blanks'; echo y > "gone/$(printf 'n\303\244me')"
  echo z > moved/file
  python3 -c '
import sys
for i in range(int(sys.argv[1])): open(f"many/{i}", "w").write(str(i))' "$1"
}

after() {
  rm -r gone removed; mv moved/file deep/; rmdir moved; mv dir/sub deep/1/sub
  : > large2; truncate -s 1000 truncated; seq 9 100000 > new; mv new replaced
  printf changed | dd of=large bs=1 seek=400000 conv=notrunc 2>/dev/null
  rm dir/hard; ln large deep/hard; ln -sf elsewhere soft; rm fifo; mkdir fifo; echo in > fifo/in
  printf more | dd of=sparse bs=1 seek=100 conv=notrunc 2>/dev/null
  setfattr -x user.color dir/file-3; setfattr -n user.color -v green dir; setfacl -b dir/file-4
  chmod 600 dir/file-5; chown 1:2 dir/file-6; touch dir/file-7
  python3 -c '
import os
for i, name in enumerate(sorted(os.listdir("many"))):
    if i % 3 == 0: os.remove(f"many/{name}")
    elif i % 3 == 1: os.rename(f"many/{name}", f"empty/{name}")
    else: open(f"many/{name}", "a").write("more")
open("many/0", "w").write("another 0")'
  echo new > made
}

shift 2
$what "$@"
