#!/bin/sh
# Work that people do on a file system. own_work.sh CASE MOUNT SCRATCH; exit code 0 if all held.
set -e
mount=$2 scratch=$3
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1 LC_ALL=C
special="-x fifo -x sock -x chr"

# A tree of sources with all that a tree can hold, in $scratch/local.
sources() {
  mkdir -p "$scratch/local/src" "$scratch/local/deep/er/still"
  cd "$scratch/local"
  {
    echo 'all: prog'
    printf 'prog: main.o'
    for i in $(seq 12); do printf ' src/f%d.o' "$i"; done
    printf '\n\t$(CC) -o $@ $^\ncheck: prog\n\ttest "$$(./prog)" = 78\n'
  } > Makefile
  for i in $(seq 12); do echo "int f$i(void) { return $i; }" > "src/f$i.c"; done
  {
    echo '#include <stdio.h>'
    for i in $(seq 12); do echo "int f$i(void);"; done
    printf 'int main(void) { printf("%%d\\n", 0'
    for i in $(seq 12); do printf ' + f%d()' "$i"; done
    echo '); return 0; }'
  } > main.c
  seq 20000 > deep/er/still/numbers
  ln main.c deep/hard; ln -s nowhere dangling; mkfifo fifo; mknod chr c 1 3
  touch "$(printf 'n%.0s' $(seq 255))" 'sp ace' "$(printf 'line\nbreak')"
  touch -d '1969-12-31 23:59:58.5' old; touch -d '2200-01-01 00:00:00.123456789' far
  setfattr -n user.text -v 'a b' main.c; setfattr -n user.bytes -v 0x00ff00 src
  setfacl -m u:77:rw,g:88:r main.c; setfacl -d -m u:77:rwx,m::rx deep
  chown 12:34 Makefile; chmod 4755 src/f1.c
  truncate -s 5M sparse; printf x | dd of=sparse bs=1 seek=3000000 conv=notrunc 2>/dev/null
}

# What a tree is, but for the content of files.
told() {
  (cd "$1"; find . \( -type d -printf '%p %y %m %U %G %T@\n' \) -o \
    -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort
  getfattr -Rhd -m user . 2>/dev/null | sort; find . ! -type l -print0 | sort -z | xargs -0 getfacl -pn)
}

same() {
  diff -r --no-dereference $special "$1" "$2"
  told "$1" > "$scratch/one"; told "$2" > "$scratch/other"
  diff "$scratch/one" "$scratch/other"
}

tree() {
  sources
  rsync -aHAX --modify-window=-1 "$scratch/local/" "$mount/tree/"
  same "$scratch/local" "$mount/tree"
  rsync -aHAX --modify-window=-1 "$mount/tree/" "$scratch/back/"
  same "$scratch/local" "$scratch/back"
  test -z "$(rsync -aHAXni --modify-window=-1 --delete "$scratch/local/" "$mount/tree/")"
  mkdir "$mount/untar"
  tar -C "$mount/tree" --xattrs --acls -cf "$mount/out.tar" .
  tar -C "$mount/untar" --xattrs --acls -xpf "$mount/out.tar" 2>/dev/null
  same "$scratch/local" "$mount/untar"
  make -s -j2 -C "$mount/untar"
  make -s -C "$mount/untar" check
}

repository() {
  mkdir "$mount/repo"; cd "$mount/repo"
  git init -q -b main .; git config user.email a@b; git config user.name n
  for i in $(seq 60); do seq "$i" > "file$i"; done
  git add -A; git commit -qm first
  for i in 1 2 3; do echo "$i" >> file1; git mv "file1$i" "moved$i"; git add -A; git commit -qm "$i"; done
  git checkout -q -b side HEAD~2; echo side > side; git add side; git commit -qm side
  git checkout -q main; git merge -q side -m merge
  git clone -q "$mount/repo" "$mount/clone"
  git fsck --full --strict; git gc -q --prune=now; git fsck --full --strict
  cd "$mount/clone"; git fsck --full; test -z "$(git status --porcelain)"
  test "$(git rev-parse HEAD)" = "$(git -C "$mount/repo" rev-parse HEAD)"
}

# Two processes write to one database, each row once, with both kinds of journal.
database() {
  for mode in delete wal; do
    file=$mount/db-$mode
    sqlite3 "$file" "pragma journal_mode=$mode; create table t(who, n, data); create index i on t(n);"
    for who in a b; do
      for n in $(seq 10); do
        echo ".timeout 120000"
        echo "begin immediate; insert into t values('$who', $n, hex(randomblob(500)));"
        echo "update t set data = data || 'x' where n = $n - 1; commit;"
      done | sqlite3 -bail "$file" & eval "$who=$!"
    done
    wait "$a"; wait "$b"
    test "$(sqlite3 "$file" 'pragma integrity_check; select count(*) from t')" = "$(printf 'ok\n20')"
    sqlite3 "$file" vacuum
    test "$(sqlite3 "$file" 'pragma integrity_check')" = ok
  done
}

"$1"
