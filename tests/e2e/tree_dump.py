#!/usr/bin/env python3
"""tree_dump.py DIR: everything about every entry below DIR, one JSON object a line, sorted by path.

`.glusterfs/indices` and what a running brick keeps for itself is left out. Of a directory's size and
link count nothing is told: they depend on the file system below.
"""

import hashlib
import json
import os
import stat
import sys

OWN = {
    b".glusterfs/" + name
    for name in (b"indices", b"health_check", b"changelogs", b"unlink", b"landfill", b"mortar")
}


def digest(path):
    value = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            value.update(chunk)
    return value.hexdigest()


def describe(path, name):
    found = os.lstat(path)
    entry = {
        "path": os.fsdecode(name).encode("utf-8", "backslashreplace").decode(),
        "mode": oct(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime": found.st_mtime_ns,
        "rdev": found.st_rdev,
        "blocks": found.st_blocks,
        "xattrs": {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in xattrs(path)},
    }
    if not stat.S_ISDIR(found.st_mode):
        entry["nlink"] = found.st_nlink
        entry["size"] = found.st_size
    if stat.S_ISREG(found.st_mode):
        entry["sha256"] = digest(path)
    if stat.S_ISLNK(found.st_mode):
        entry["target"] = os.fsdecode(os.readlink(path)).encode("utf-8", "backslashreplace").decode()
    return entry


def xattrs(path):
    return sorted(os.listxattr(path, follow_symlinks=False))


def walk(top, name):
    for each in sorted(os.listdir(os.path.join(top, name))):
        below = os.path.join(name, each) if name else each
        if below in OWN:
            continue
        path = os.path.join(top, below)
        print(json.dumps(describe(path, below)))
        if stat.S_ISDIR(os.lstat(path).st_mode):
            walk(top, below)


if __name__ == "__main__":
    top = os.fsencode(sys.argv[1])
    print(json.dumps(describe(top, b"")))
    walk(top, b"")
