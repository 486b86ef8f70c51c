#!/usr/bin/env python3
"""Random operations on a mount and, the same ones, on a local directory: both must answer the same.

fsx.py MOUNT LOCAL SEED COUNT [MOUNT2]. With MOUNT2, another mount of the same volume, each operation
goes through either of them; neither may cache then, and there is no mapping of memory. Says how many
operations of each kind were made, and how many failed in which way on both; exit code 1, and the last
operations, where the two differ. All is compared after every 1000 operations, or FSX_LOOK_EVERY;
FSX_KEEP leaves on the mount what was made.
"""

import collections
import contextlib
import ctypes
import errno
import mmap
import os
import random
import shutil
import stat
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
PAGE = 4096
SIZE_MAX = 600_000
OPEN_MAX = 10
LOOK_EVERY = int(os.environ.get("FSX_LOOK_EVERY", 1000))
NAMES = [f"n{i}" for i in range(8)] + ["l" * 255, "sp ace", "\udcff\udcfe"]
XATTRS = ["user.a", "user.b", "user.long-" + "x" * 200]


class Differ(Exception):
    pass


class Open:
    """A file that is open on both sides."""

    def __init__(self, fds, flags, direct):
        self.fds = fds
        self.flags = flags
        self.direct = direct
        self.readable = flags & os.O_ACCMODE != os.O_WRONLY
        self.writable = flags & os.O_ACCMODE != os.O_RDONLY


class Fsx:
    def __init__(self, mounts, local, seed):
        self.rng = random.Random(seed)
        self.mounts = mounts
        self.local = local
        self.open = []
        self.last = collections.deque(maxlen=40)
        self.counts = collections.Counter()
        self.failures = collections.Counter()
        self.number = 0
        self.buffer = mmap.mmap(-1, 1 << 20)

    # The same on both sides; what they answer, an error's number included, must be equal.
    def both(self, what, call, *sides):
        self.last.append(f"{self.number}: {what}")
        answers = []
        for side in sides:
            try:
                answers.append(call(side))
            except OSError as error:
                answers.append(errno.errorcode[error.errno])
        if answers[0] != answers[1]:
            shown = [repr(each)[:300] for each in answers]
            raise Differ(f"{what}: {shown[0]} instead of {shown[1]}{self.difference(*answers)}")
        if isinstance(answers[0], str) and answers[0] in errno.errorcode.values():
            self.failures[answers[0]] += 1
        return answers[0]

    def difference(self, here, there):
        if not (isinstance(here, bytes) and isinstance(there, bytes)):
            return ""
        wrong = [i for i in range(min(len(here), len(there))) if here[i] != there[i]]
        where = f"bytes {wrong[0]} to {wrong[-1]} ({len(wrong)})" if wrong else "no byte"
        return f": {len(here)} and {len(there)} bytes, {where} differ"

    def by_path(self, what, call, *paths):
        mount = self.rng.choice(self.mounts)
        shown = ", ".join(path[:20] for path in paths)
        return self.both(
            f"{what} {shown!r}", lambda root: call(*(f"{root}/{path}" for path in paths)), mount, self.local
        )

    def by_fd(self, what, file, call):
        return self.both(f"{what} #{self.open.index(file)}", call, *file.fds)

    def path(self):
        """A name in the root or in a directory, which need not be there, three deep at most."""
        depth = self.rng.choice((0, 0, 0, 1, 1, 2))
        parts = [f"d{self.rng.randrange(3)}" for _ in range(depth)]
        return "/".join([*parts, self.rng.choice(NAMES)])

    def directory(self):
        return "/".join(f"d{self.rng.randrange(3)}" for _ in range(self.rng.choice((1, 1, 2, 2, 3))))

    def range(self, largest=70_000):
        if self.rng.random() < 0.02:
            largest = SIZE_MAX
        size = self.rng.randrange(1, largest)
        offset = self.rng.randrange(0, SIZE_MAX - size)
        if self.rng.random() < 0.3:
            offset &= ~(PAGE - 1)
        return offset, size

    def data(self, size):
        return self.rng.randbytes(min(size, 97)).ljust(size, bytes([self.number % 251 + 1]))

    def pick(self, wanted=lambda file: True):
        found = [file for file in self.open if wanted(file)]
        return self.rng.choice(found) if found else None

    # --- data

    def read(self):
        if file := self.pick(lambda each: not each.direct):
            offset, size = self.range()
            self.by_fd(f"read {offset} {size}", file, lambda fd: os.pread(fd, size, offset))

    def write(self):
        if file := self.pick(lambda each: not each.direct):
            offset, size = self.range()
            # Files that are appended to would grow for ever.
            if file.flags & os.O_APPEND and os.fstat(file.fds[1]).st_size > SIZE_MAX:
                return self.truncate()
            data = self.data(size)
            self.by_fd(f"write {offset} {size}", file, lambda fd: os.pwrite(fd, data, offset))

    def direct(self):
        """Past the page cache of the mount; the local file need not be."""
        if file := self.pick(lambda each: each.direct and not each.flags & os.O_APPEND):
            offset, size = (each & ~(PAGE - 1) for each in self.range())
            size += PAGE
            if self.rng.random() < 0.5:
                self.by_fd(f"direct read {offset} {size}", file, lambda fd: self.read_into(fd, offset, size))
            else:
                self.buffer[:size] = self.data(size)
                data = memoryview(self.buffer)[:size]
                self.by_fd(f"direct write {offset} {size}", file, lambda fd: os.pwritev(fd, [data], offset))
                data.release()

    def read_into(self, fd, offset, size):
        data = memoryview(self.buffer)[:size]
        try:
            return bytes(self.buffer[: os.preadv(fd, [data], offset)])
        finally:
            data.release()

    def map(self):
        if file := self.pick(lambda each: each.readable and not each.direct):
            size = os.fstat(file.fds[1]).st_size
            if size == 0:
                return
            offset = self.rng.randrange(size)
            length = min(self.rng.randrange(1, 30_000), size - offset)
            start = offset & ~(mmap.ALLOCATIONGRANULARITY - 1)
            data = self.data(length) if file.writable and self.rng.random() < 0.5 else None

            def touch(fd):
                access = mmap.ACCESS_READ if data is None else mmap.ACCESS_WRITE
                with mmap.mmap(fd, offset - start + length, access=access, offset=start) as mapped:
                    if data is None:
                        return mapped[offset - start : offset - start + length]
                    mapped[offset - start : offset - start + length] = data
                    mapped.flush()
                    return length

            self.by_fd(f"map {'read' if data is None else 'write'} {offset} {length}", file, touch)

    def truncate(self):
        size = self.rng.randrange(SIZE_MAX) if self.rng.random() < 0.8 else 0
        file = self.pick()
        if file and self.rng.random() < 0.7:
            self.by_fd(f"truncate {size}", file, lambda fd: os.ftruncate(fd, size))
        else:
            self.by_path(f"truncate {size}", lambda path: os.truncate(path, size), self.path())

    def fallocate(self):
        if file := self.pick():
            offset, size = self.range(200_000)
            mode = self.rng.choice(
                (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE)
            )

            def allocate(fd):
                if LIBC.fallocate(fd, mode, offset, size) < 0:
                    raise OSError(ctypes.get_errno(), "fallocate")

            self.by_fd(f"fallocate {mode} {offset} {size}", file, allocate)

    def copy_range(self):
        source, target = self.pick(), self.pick()
        if not source or target.direct or source.direct:
            return
        offset, size = self.range()
        to, _ = self.range()
        what = f"copy {offset} {size} to {to} of #{self.open.index(target)}"
        if len(self.mounts) > 1 and os.fstat(source.fds[0]).st_dev != os.fstat(target.fds[0]).st_dev:
            return

        def copy(side):
            done = 0
            # A copy may be shorter than it was asked to be: where it ends is no business of ours.
            while done < size:
                count = os.copy_file_range(side[0], side[1], size - done, offset + done, to + done)
                if count == 0:
                    break
                done += count
            return done

        self.both(f"{what} #{self.open.index(source)}", copy, *zip(source.fds, target.fds))

    def seek(self):
        """Holes need not be the same: what is said to be one must be zeros, and data must be told."""
        if file := self.pick(lambda each: each.readable):
            size = os.fstat(file.fds[1]).st_size
            offset = self.rng.randrange(SIZE_MAX)
            self.last.append(f"{self.number}: seek {offset} #{self.open.index(file)}")
            content = os.pread(file.fds[1], SIZE_MAX * 2, 0) if not file.direct else None
            for whence in (os.SEEK_DATA, os.SEEK_HOLE):
                try:
                    found = os.lseek(file.fds[0], offset, whence)
                except OSError as error:
                    found = errno.errorcode[error.errno]
                if offset >= size:
                    if found != "ENXIO":
                        raise Differ(f"seek {whence} from {offset} in {size} bytes: {found}")
                elif whence == os.SEEK_HOLE:
                    if not isinstance(found, int) or not offset <= found <= size:
                        raise Differ(f"seek for a hole from {offset} in {size} bytes: {found}")
                elif content is not None:
                    end = size if found == "ENXIO" else found
                    if not isinstance(end, int) or content[offset:end].strip(b"\0"):
                        raise Differ(f"seek for data from {offset} in {size} bytes: {found}")

    def sync(self):
        if file := self.pick():
            call = self.rng.choice((os.fsync, os.fdatasync))
            # Only what the mount answers matters.
            self.both(call.__name__, lambda fd: call(fd) if fd == file.fds[0] else None, *file.fds)

    def fstat(self):
        if file := self.pick():
            self.by_fd("fstat", file, lambda fd: shown(os.fstat(fd)))

    # --- opening and closing

    def opening(self):
        if len(self.open) >= OPEN_MAX:
            return self.closing()
        flags = self.rng.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR, os.O_RDWR))
        for flag, chance in ((os.O_CREAT, 0.8), (os.O_EXCL, 0.1), (os.O_APPEND, 0.2), (os.O_TRUNC, 0.1)):
            flags |= flag if self.rng.random() < chance else 0
        flags |= os.O_SYNC if self.rng.random() < 0.03 else 0
        mode = self.rng.choice((0o600, 0o644, 0o666))
        path = self.path()
        there = f"{self.local}/{path}"
        # Which pipes and devices know O_DIRECT is not a file system's business.
        direct = self.rng.random() < 0.15 and (not os.path.lexists(there) or os.path.isfile(there))
        mount = self.rng.choice(self.mounts)
        fds = []

        def open_(root):
            more = os.O_DIRECT if direct and root != self.local else 0
            # A pipe would wait for somebody else.
            fds.append(os.open(f"{root}/{path}", flags | more | os.O_NONBLOCK | os.O_NOFOLLOW, mode))
            return stat.S_IFMT(os.fstat(fds[-1]).st_mode)

        kind = self.both(f"open {path[:20]!r} {flags:o}{' direct' if direct else ''}", open_, mount, self.local)
        if kind == stat.S_IFREG:
            self.open.append(Open(fds, flags, direct))
        else:
            for fd in fds:
                os.close(fd)

    def closing(self):
        if file := self.pick():
            self.by_fd("close", file, os.close)
            self.open.remove(file)

    # --- names

    def unlink(self):
        self.by_path("unlink", os.unlink, self.path())

    def rename(self):
        pick = self.directory if self.rng.random() < 0.3 else self.path

        # Linux looks a directory up that another mount moved while it holds the lock that knowing it
        # by its new name takes, and gives up, on every network file system, GlusterFS's mount among
        # them. Looked at before, it can be renamed.
        def rename(old, new):
            try:
                os.rename(old, new)
            except OSError as error:
                if error.errno != errno.ESTALE or len(self.mounts) < 2:
                    raise
                for path in (old, new):
                    with contextlib.suppress(FileNotFoundError):
                        os.lstat(path)
                os.rename(old, new)

        self.by_path("rename", rename, pick(), pick())

    def link(self):
        self.by_path("link", lambda old, new: os.link(old, new, follow_symlinks=False), self.path(), self.path())

    def symlink(self):
        target = self.rng.choice(("nowhere", "n1", "../n2", "t" * 1000))
        path = self.path()
        self.by_path("symlink", lambda name: os.symlink(target, name), path)
        self.by_path("readlink", os.readlink, path)

    def mkdir(self):
        mode = self.rng.choice((0o700, 0o755, 0o777, 0o1777))
        self.by_path("mkdir", lambda path: os.mkdir(path, mode), self.directory())

    def rmdir(self):
        self.by_path("rmdir", os.rmdir, self.rng.choice((self.directory, self.path))())

    def mknod(self):
        kind = self.rng.choice((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR))
        device = os.makedev(1, 3) if kind == stat.S_IFCHR else 0
        self.by_path("mknod", lambda path: os.mknod(path, kind | 0o640, device), self.path())

    def list(self):
        path = self.directory() if self.rng.random() < 0.7 else "."
        self.by_path("list", lambda path: sorted(os.listdir(path)), path)

    def lstat(self):
        self.by_path("stat", lambda path: shown(os.lstat(path)), self.path())

    # --- attributes

    def chmod(self):
        mode = self.rng.choice((0o600, 0o644, 0o4755, 0o2755, 0o000))
        path = self.path()
        self.by_path(f"chmod {mode:o}", lambda path: os.path.islink(path) or os.chmod(path, mode), path)

    def chown(self):
        uid, gid = self.rng.choice((-1, 0, 77)), self.rng.choice((-1, 0, 88))
        self.by_path(f"chown {uid}:{gid}", lambda path: os.chown(path, uid, gid, follow_symlinks=False), self.path())

    def utime(self):
        times = self.rng.randrange(2**31 * 10**9), self.rng.randrange(-(10**18), 2**33 * 10**9)

        def set_times(path):
            os.utime(path, ns=times, follow_symlinks=False)
            now = os.lstat(path)
            return now.st_atime_ns, now.st_mtime_ns

        self.by_path("utime", set_times, self.path())

    def xattr(self):
        path, name = self.path(), self.rng.choice(XATTRS)
        value = self.rng.randbytes(self.rng.choice((0, 1, 100, 1000)))
        flags = self.rng.choice((0, 0, 0, os.XATTR_CREATE, os.XATTR_REPLACE))
        follow = {"follow_symlinks": False}
        kind = self.rng.randrange(4)
        if kind == 0:
            self.by_path(f"setxattr {flags}", lambda path: os.setxattr(path, name, value, flags, **follow), path)
        elif kind == 1:
            self.by_path("removexattr", lambda path: os.removexattr(path, name, **follow), path)
        self.by_path("getxattr", lambda path: os.getxattr(path, name, **follow), path)
        self.by_path("listxattr", user_xattrs, path)

    # --- all

    def look(self):
        """Everything there is, compared."""
        trees = []
        for root in (self.rng.choice(self.mounts), self.local):
            tree = {}
            for base, directories, files in os.walk(root):
                for name in directories + files:
                    path = f"{base}/{name}"
                    now = os.lstat(path)
                    content = None
                    if stat.S_ISREG(now.st_mode):
                        with open(path, "rb") as file:
                            content = file.read()
                    tree[path[len(root) :]] = (*shown(now), user_xattrs(path), content)
            trees.append(tree)
        mount, local = trees
        if mount.keys() != local.keys():
            raise Differ(f"names: {mount.keys() ^ local.keys()}")
        for path, entry in local.items():
            if mount[path] != entry:
                what = self.difference(mount[path][-1], entry[-1])
                raise Differ(f"{path}: {mount[path][:-1]} instead of {entry[:-1]}{what}")
        for file in self.open:
            self.by_fd("fstat", file, lambda fd: shown(os.fstat(fd)))
            if file.readable and not file.direct:
                self.by_fd("read all", file, lambda fd: os.pread(fd, SIZE_MAX * 2, 0))

    def run(self, count):
        weights = {
            self.read: 14, self.write: 16, self.direct: 6, self.truncate: 4, self.fallocate: 4,
            self.copy_range: 3, self.seek: 3, self.sync: 1, self.fstat: 3, self.opening: 8,
            self.closing: 3, self.unlink: 4, self.rename: 4, self.link: 2, self.symlink: 1,
            self.mkdir: 2, self.rmdir: 1, self.mknod: 0.5, self.list: 2, self.lstat: 3,
            self.chmod: 1, self.chown: 1, self.utime: 1, self.xattr: 2,
        }  # fmt: skip
        if len(self.mounts) == 1:
            weights[self.map] = 6
        kinds, chances = list(weights), list(weights.values())
        try:
            for self.number in range(count):
                operation = self.rng.choices(kinds, chances)[0]
                self.counts[operation.__name__] += 1
                operation()
                if self.number % LOOK_EVERY == LOOK_EVERY - 1:
                    self.look()
            self.look()
        finally:
            for file in self.open:
                for fd in file.fds:
                    os.close(fd)


def shown(now):
    size = now.st_size if not stat.S_ISDIR(now.st_mode) else None
    links = now.st_nlink if not stat.S_ISDIR(now.st_mode) else None
    return now.st_mode, size, links, now.st_uid, now.st_gid, now.st_rdev


def user_xattrs(path):
    return sorted(name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user."))


def main(mount, local, seed, count, *more):
    os.umask(0o022)
    mounts = [f"{root}/fsx-{seed}" for root in (mount, *more)]
    local = f"{local}/fsx-{seed}"
    os.mkdir(mounts[0])
    os.mkdir(local)
    fsx = Fsx(mounts, local, int(seed))
    try:
        fsx.run(int(count))
    except Differ as error:
        print("\n".join(fsx.last), f"seed {seed}: {error}", sep="\n", file=sys.stderr)
        sys.exit(1)
    print(dict(fsx.counts), dict(fsx.failures))
    if not os.environ.get("FSX_KEEP"):
        shutil.rmtree(mounts[0])
    shutil.rmtree(local)


if __name__ == "__main__":
    main(*sys.argv[1:])
