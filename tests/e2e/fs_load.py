#!/usr/bin/env python3
"""Programs that work on a volume while something happens to it. fs_load.py CASE MOUNT [ARGUMENTS]

`write MOUNT NAME`: appends and overwrites numbered blocks until the file NAME.stop appears, calls
fsync now and then, and checks at the end that every block that was written reads back; says how many.
`caches MOUNT OTHER`: what one mount changes the other one sees.
"""

import errno
import fcntl
import os
import random
import sys
import time

BLOCK = 32768
BLOCKS = 256


def block_of(place, generation):
    return (b"%08d %08d " % (place, generation)) * (BLOCK // 18) + b"." * (BLOCK % 18)


def persist(call, *args, patience=60):
    """What a brick that is away fails is tried again; nothing else is."""
    end = time.monotonic() + patience
    while True:
        try:
            return call(*args)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADFD) or time.monotonic() > end:
                raise
            time.sleep(0.1)


def write(mount, name, seconds="0"):
    patience = float(seconds)
    rng = random.Random(1)
    path = f"{mount}/{name}"
    stop = f"{mount}/{name}.stop"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    generations = {}
    count = 0
    longest = 0.0
    last = time.monotonic()
    while count < BLOCKS or not persist(os.path.exists, stop, patience=patience):
        place = rng.randrange(BLOCKS)
        put = persist(os.pwrite, fd, block_of(place, count), place * BLOCK, patience=patience)
        assert put == BLOCK, put
        generations[place] = count
        count += 1
        if count % 64 == 0:
            persist(os.fsync, fd, patience=patience)
        now = time.monotonic()
        longest = max(longest, now - last)
        last = now
    persist(os.fsync, fd, patience=patience)
    for where in (fd, persist(os.open, path, os.O_RDONLY, patience=patience)):
        for place, generation in generations.items():
            got = persist(os.pread, where, BLOCK, place * BLOCK, patience=patience)
            assert got == block_of(place, generation), f"block {place}: {got[:40]}"
    print(count, round(longest, 1))


def soon(what, condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return True


def read(path):
    with open(path, "rb") as file:
        return file.read()


def caches(one, other):
    """What one mount cached changes through the other: seen at once, long before the caches' time."""
    for writer, reader in ((one, other), (other, one)):
        here, there = f"{writer}/cached", f"{reader}/cached"
        with open(here, "wb") as file:
            file.write(b"first")
        soon("a new name", lambda: os.path.exists(there))
        # Dispersed files tell their new size a moment after the write.
        soon("its data", lambda: read(there) == b"first" and os.stat(there).st_size == 5)
        with open(here, "wb") as file:
            file.write(b"second one")
        soon("new data", lambda: read(there) == b"second one")
        soon("a new size", lambda: os.stat(there).st_size == 10)
        os.chmod(here, 0o600)
        soon("a new mode", lambda: os.stat(there).st_mode & 0o777 == 0o600)
        os.setxattr(here, "user.k", b"v")
        soon("a new xattr", lambda: os.listxattr(there) == ["user.k"])
        os.setxattr(here, "user.k", b"w")
        soon("a changed xattr", lambda: os.getxattr(there, "user.k") == b"w")
        os.utime(here, ns=(10**18, 10**18))
        soon("a new time", lambda: os.stat(there).st_mtime_ns == 10**18)
        os.rename(here, f"{writer}/moved")
        soon("a moved name", lambda: not os.path.exists(there) and os.path.exists(f"{reader}/moved"))
        assert not os.path.exists(f"{reader}/absent")
        os.mkdir(f"{writer}/absent")
        soon("a name that was missing", lambda: os.path.isdir(f"{reader}/absent"))
        os.listdir(f"{reader}/absent")
        for i in range(20):
            with open(f"{writer}/absent/{i}", "wb") as file:
                file.write(b"x" * i)
        soon("new entries", lambda: len(os.listdir(f"{reader}/absent")) == 20)
        for i in range(20):
            soon("its size", lambda: os.stat(f"{reader}/absent/{i}").st_size == i)
            os.unlink(f"{reader}/absent/{i}")
        soon("removed entries", lambda: os.listdir(f"{writer}/absent") == [])
        os.rmdir(f"{writer}/absent")
        os.unlink(f"{reader}/moved")
        soon("a removed name", lambda: not os.path.exists(f"{writer}/moved"))


if __name__ == "__main__":
    {"write": write, "caches": caches}[sys.argv[1]](*sys.argv[2:])
