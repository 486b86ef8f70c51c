#!/usr/bin/env python3
"""More of what a file system does for programs, seen through one or two mounts of it.

fs_more.py CASE MOUNT [MOUNT2]; exit code 0 if all held. Runs on a plain local directory too (given
twice), but for `refused`: that is how the cases themselves are checked.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys
import time

from fs_cases import fails, read, write

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE = 1, 2
LINES, COUNTS = 300, 10


def call(name, *args):
    if getattr(LIBC, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def rename2(old, new, flags):
    call("renameat2", AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags)


def fallocate(fd, mode, offset, size):
    call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(size))


def in_children(*works):
    """Runs each in a process of its own; all must succeed."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def append(root, other):
    """Lines that processes on both mounts append at once: none lost, none torn."""
    write(f"{root}/log", b"")

    def lines(base, who):
        fd = os.open(f"{base}/log", os.O_WRONLY | os.O_APPEND)
        for i in range(LINES):
            line = b"%s %d %s\n" % (who, i, who * (i % 97))
            assert os.write(fd, line) == len(line)
        os.close(fd)

    writers = [(root, b"a"), (other, b"b"), (root, b"c"), (other, b"d")]
    in_children(*(lambda base=base, who=who: lines(base, who) for base, who in writers))
    for base in (root, other):
        seen = {who: 0 for _, who in writers}
        for line in read(f"{base}/log").split(b"\n")[:-1]:
            who, number, tail = line.split(b" ")
            assert int(number) == seen[who] and tail == who * (seen[who] % 97), line
            seen[who] += 1
        assert set(seen.values()) == {LINES}, seen


def counter(root, other):
    """A number in a file that processes on both mounts count up under a lock, without fsync."""
    for kind, name in ((fcntl.lockf, "by-range"), (fcntl.flock, "by-flock")):
        write(f"{root}/{name}", b"0")

        def count(base):
            fd = os.open(f"{base}/{name}", os.O_RDWR)
            for _ in range(COUNTS):
                kind(fd, fcntl.LOCK_EX)
                number = int(os.pread(fd, 100, 0))
                os.pwrite(fd, b"%d" % (number + 1), 0)
                kind(fd, fcntl.LOCK_UN)
            os.close(fd)

        in_children(lambda: count(root), lambda: count(other), lambda: count(root))
        for base in (root, other):
            fd = os.open(f"{base}/{name}", os.O_RDWR)
            kind(fd, fcntl.LOCK_SH)
            assert int(os.pread(fd, 100, 0)) == COUNTS * 3, (name, os.pread(fd, 100, 0))
            os.close(fd)


def mapped(root, other):
    """Memory that two processes share by a file; what they leave there is read on the other mount."""
    size = 3 * mmap.PAGESIZE
    write(f"{root}/mapped", b"\0" * size)

    def turn(first):
        fd = os.open(f"{root}/mapped", os.O_RDWR)
        memory = mmap.mmap(fd, size)
        for i in range(0, 200):
            if i % 2 == first:
                end = time.monotonic() + 20
                while memory[0] != i % 256 and time.monotonic() < end:
                    time.sleep(0.0005)
                assert memory[0] == i % 256, (i, memory[0])
                memory[mmap.PAGESIZE + i] = i
                memory[0] = (i + 1) % 256
        memory.flush()

    in_children(lambda: turn(0), lambda: turn(1))
    want = bytes([200]) + b"\0" * (mmap.PAGESIZE - 1) + bytes(range(200))
    assert read(f"{root}/mapped")[: len(want)] == want
    fd = os.open(f"{other}/mapped", os.O_RDONLY)
    fcntl.lockf(fd, fcntl.LOCK_SH)  # nothing cached counts from here
    assert os.pread(fd, len(want), 0) == want
    os.close(fd)


def rename_flags(root, other):
    """renameat2: NOREPLACE of files, directories and links spares what is there."""
    top, seen = f"{root}/flags", f"{other}/flags"
    os.mkdir(top)
    for name in ("one", "two"):
        write(f"{top}/{name}", name.encode())
        os.mkdir(f"{top}/dir-{name}")
    os.symlink("one", f"{top}/link")
    fd = os.open(f"{top}/one", os.O_RDONLY)
    for old, new in (("one", "two"), ("one", "dir-two"), ("dir-one", "dir-two"), ("dir-one", "two"), ("link", "one")):
        fails(errno.EEXIST, rename2, f"{top}/{old}", f"{top}/{new}", NOREPLACE)
    fails(errno.ENOENT, rename2, f"{top}/none", f"{top}/new", NOREPLACE)
    rename2(f"{top}/one", f"{top}/dir-one/new", NOREPLACE)
    assert os.pread(fd, 10, 0) == b"one" and os.fstat(fd).st_nlink == 1
    os.close(fd)
    rename2(f"{top}/dir-one", f"{top}/dir-new", NOREPLACE)
    rename2(f"{top}/link", f"{top}/link-new", NOREPLACE)
    assert sorted(os.listdir(seen)) == ["dir-new", "dir-two", "link-new", "two"], os.listdir(seen)
    assert read(f"{seen}/dir-new/new") == b"one" and read(f"{seen}/two") == b"two"
    assert os.readlink(f"{seen}/link-new") == "one"


def refused(root, _other):
    """What no brick can do is refused with the numbers that programs know."""
    write(f"{root}/a", b"a")
    write(f"{root}/b", b"b")
    fails(errno.EINVAL, rename2, f"{root}/a", f"{root}/b", EXCHANGE)
    fails(errno.EINVAL, rename2, f"{root}/a", f"{root}/c", 4)  # WHITEOUT
    fd = os.open(f"{root}/a", os.O_RDWR)
    page = mmap.PAGESIZE
    os.ftruncate(fd, 4 * page)
    for mode in (8, 32, 64):  # COLLAPSE, INSERT, UNSHARE
        fails(errno.EOPNOTSUPP, fallocate, fd, mode, page, page)
    FS_IOC_GETFLAGS, FICLONE, FIONREAD_OF_NOBODY = 0x80086601, 0x40049409, 0x5421FFFF
    for request in (FS_IOC_GETFLAGS, FIONREAD_OF_NOBODY):
        fails(errno.ENOTTY, fcntl.ioctl, fd, request, struct.pack("q", 0))
    other = os.open(f"{root}/b", os.O_RDWR)
    fails((errno.EOPNOTSUPP, errno.ENOTTY), fcntl.ioctl, other, FICLONE, fd)
    fails(errno.EINVAL, os.pread, fd, 10, -1)
    fails(errno.EOPNOTSUPP, os.setxattr, f"{root}/a", "other.name", b"x")
    fails(errno.EPERM, os.link, root, f"{root}/directory")
    fails(errno.EINVAL, os.rename, f"{root}", f"{root}/below") if not os.path.ismount(root) else None
    # A temporary file without a name is made with one where a file system has none.
    fails(errno.EOPNOTSUPP, os.open, root, os.O_TMPFILE | os.O_RDWR)
    os.close(other)
    os.close(fd)


def holes(root, other):
    """Holes: made, found, punched, filled; the space that they do not take."""
    mib = 1 << 20
    fd = os.open(f"{root}/holes", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"x" * mib, 2 * mib)
    os.ftruncate(fd, 5 * mib)
    os.fsync(fd)
    for base in (root, other):
        each = os.open(f"{base}/holes", os.O_RDONLY)
        assert os.lseek(each, 0, os.SEEK_DATA) == 2 * mib
        assert os.lseek(each, 0, os.SEEK_HOLE) == 0
        assert os.lseek(each, 2 * mib + 5, os.SEEK_HOLE) == 3 * mib
        fails(errno.ENXIO, os.lseek, each, 3 * mib, os.SEEK_DATA)
        fails(errno.ENXIO, os.lseek, each, 5 * mib, os.SEEK_HOLE)
        os.close(each)
    assert os.fstat(fd).st_blocks * 512 < 2 * mib
    KEEP_SIZE, PUNCH, ZERO = 1, 2, 16
    fallocate(fd, PUNCH | KEEP_SIZE, 2 * mib, mib // 2)
    os.fsync(fd)
    assert os.lseek(fd, 0, os.SEEK_DATA) == 2 * mib + mib // 2
    assert os.pread(fd, mib, 2 * mib) == b"\0" * (mib // 2) + b"x" * (mib // 2)
    fallocate(fd, KEEP_SIZE, 5 * mib, mib)
    assert os.fstat(fd).st_size == 5 * mib
    fallocate(fd, ZERO | KEEP_SIZE, 2 * mib, mib)
    assert os.pread(fd, mib, 2 * mib) == b"\0" * mib and os.fstat(fd).st_size == 5 * mib
    fallocate(fd, 0, 5 * mib, 2 * mib)
    assert os.fstat(fd).st_size == 7 * mib
    fallocate(fd, ZERO, 6 * mib, 2 * mib)
    assert os.fstat(fd).st_size == 8 * mib
    os.close(fd)


def copies(root, other):
    """copy_file_range within a file system."""
    data = os.urandom(3_000_001)
    write(f"{root}/from", data)
    source, target = os.open(f"{root}/from", os.O_RDONLY), os.open(f"{root}/to", os.O_CREAT | os.O_RDWR)
    done = 0
    while done < 2_999_990:
        count = os.copy_file_range(source, target, 2_999_990 - done, 11 + done, 7 + done)
        assert count > 0
        done += count
    os.close(target)
    for base in (root, other):
        assert read(f"{base}/to") == b"\0" * 7 + data[11:], base
    assert os.copy_file_range(source, os.open(f"{root}/to", os.O_RDWR), 100, len(data), 0) == 0


def times(root, other):
    """Times to the nanosecond, before 1970 and after 2106; utimensat with omit and now."""
    UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
    path = f"{root}/times"
    write(path, b"")
    for ns in (1, 999_999_999, 10**18 + 123_456_789, 2**33 * 10**9 + 1, -(10**9) - 1):
        os.utime(path, ns=(ns, ns + 5))
        for base in (root, other):
            now = os.stat(f"{base}/times")
            assert (now.st_atime_ns, now.st_mtime_ns) == (ns, ns + 5), (base, ns, now.st_atime_ns, now.st_mtime_ns)

    def utimens(atime, mtime):
        call("utimensat", AT_FDCWD, path.encode(), struct.pack("qqqq", 7, atime, 8, mtime), 0)

    utimens(UTIME_OMIT, 3)
    now = os.stat(path)
    assert now.st_mtime_ns == 8 * 10**9 + 3 and now.st_atime_ns == ns, now
    utimens(4, UTIME_OMIT)
    now = os.stat(path)
    assert now.st_mtime_ns == 8 * 10**9 + 3 and now.st_atime_ns == 7 * 10**9 + 4, now
    before = time.time()
    utimens(UTIME_NOW, UTIME_OMIT)
    now = os.stat(path)
    assert abs(now.st_atime - before) < 60 and now.st_mtime_ns == 8 * 10**9 + 3, now
    utimens(UTIME_NOW, UTIME_NOW)
    assert abs(os.stat(path).st_mtime - before) < 60
    was = os.stat(path)
    os.chmod(path, 0o600)
    now = os.stat(path)
    assert now.st_ctime_ns > was.st_ctime_ns and now.st_mtime_ns == was.st_mtime_ns
    write(path, b"more")
    assert os.stat(path).st_mtime_ns > was.st_mtime_ns
    was = os.stat(root)
    write(f"{root}/new-in-it", b"")
    assert os.stat(root).st_mtime_ns > was.st_mtime_ns


def specials(root, other):
    """Pipes, sockets and devices are what their names say, on both mounts."""
    os.mkfifo(f"{root}/pipe", 0o622)
    in_children(
        lambda: write(f"{root}/pipe", b"through a pipe"),
        lambda: check(read(f"{root}/pipe") == b"through a pipe"),
    )
    path = f"{root}/sock"
    os.chdir(root)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("sock")
            client.send(b"x")
            assert server.accept()[0].recv(1) == b"x"
    os.chdir("/")
    os.mknod(f"{root}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(f"{root}/odd", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    os.mknod(f"{root}/plain", stat.S_IFREG | 0o640)
    write(f"{root}/null", b"gone")
    assert read(f"{root}/null") == b""
    kinds = [
        ("pipe", stat.S_ISFIFO, 0o600),
        ("sock", stat.S_ISSOCK, 0o755),
        ("null", stat.S_ISCHR, 0o644),
        ("odd", stat.S_ISBLK, 0o600),
        ("plain", stat.S_ISREG, 0o640),
    ]
    for name, kind, mode in kinds:
        now = os.lstat(f"{other}/{name}")
        assert kind(now.st_mode) and now.st_mode & 0o777 == mode & ~0o022, (name, oct(now.st_mode))
    assert os.lstat(f"{other}/null").st_rdev == os.makedev(1, 3)
    assert os.lstat(f"{other}/odd").st_rdev == os.makedev(259, 70_000)
    for name, *_ in kinds:
        os.unlink(f"{other}/{name}")
    assert not os.path.exists(path)


def check(true):
    assert true


def space(root, _other):
    """What statfs tells is possible, and moves when files come and go."""
    was = os.statvfs(root)
    assert was.f_bsize >= 512 and was.f_frsize >= 512 and was.f_namemax == 255, was
    assert 0 < was.f_bavail <= was.f_bfree <= was.f_blocks and 0 < was.f_ffree <= was.f_files, was
    fd = os.open(f"{root}/space", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, 512 << 20)
    now = os.statvfs(root)
    # Others use that disk, too.
    assert (was.f_bfree - now.f_bfree) * was.f_frsize > 128 << 20, (was, now)
    os.close(fd)
    os.unlink(f"{root}/space")


def acls(root, other):
    """Access control lists that setfacl sets bind another user, mask and defaults too."""
    top, seen = f"{root}/acls", f"{other}/acls"
    os.mkdir(top, 0o755)
    for name in ("allowed", "masked", "grouped", "denied"):
        write(f"{top}/{name}", name.encode())
        os.chmod(f"{top}/{name}", 0o640)
    write(f"{top}/barred", b"barred")
    os.chmod(f"{top}/barred", 0o644)

    def setfacl(*words):
        subprocess.run(["setfacl", *words], check=True)

    setfacl("-m", "u:7777:rw", f"{top}/allowed")
    setfacl("-m", "u:7777:rw,m::r", f"{top}/masked")
    setfacl("-m", "g:5555:r", f"{top}/grouped")
    setfacl("-m", "u:7777:---", f"{top}/barred")
    os.mkdir(f"{top}/inherits")
    setfacl("-d", "-m", "u:7777:rwx,g::r,o::-", f"{top}/inherits")
    write(f"{top}/inherits/file", b"file")
    os.mkdir(f"{top}/inherits/below")
    text = subprocess.run(["getfacl", "-cpn", f"{seen}/inherits/below"], check=True, capture_output=True)
    assert b"default:user:7777:rwx" in text.stdout and b"\nuser:7777:rwx" in text.stdout, text.stdout

    def as_another():
        os.setgroups([5555])
        os.setgid(7777)
        os.setuid(7777)
        for base in (top, seen):
            assert read(f"{base}/allowed").startswith(b"allowed")
            fd = os.open(f"{base}/allowed", os.O_WRONLY | os.O_APPEND)
            os.write(fd, b"+")
            os.close(fd)
            assert read(f"{base}/masked") == b"masked"
            fails(errno.EACCES, os.open, f"{base}/masked", os.O_WRONLY)
            assert read(f"{base}/grouped") == b"grouped"
            fails(errno.EACCES, os.open, f"{base}/grouped", os.O_WRONLY)
            fails(errno.EACCES, read, f"{base}/denied")
            fails(errno.EACCES, read, f"{base}/barred")
            write(f"{base}/inherits/file", b"changed")
        write(f"{seen}/inherits/below/mine", b"mine")
        os.chmod(f"{seen}/inherits/below/mine", 0o600)

    in_children(as_another)
    # chmod moved the mask: the list is there, and gives nothing.
    text = subprocess.run(["getfacl", "-cpn", f"{top}/inherits/below/mine"], check=True, capture_output=True)
    assert b"mask::---" in text.stdout and b"user:7777:rwx" in text.stdout, text.stdout
    setfacl("-b", f"{top}/allowed")
    assert "system.posix_acl_access" not in os.listxattr(f"{seen}/allowed")
    setfacl("-k", f"{top}/inherits")
    assert "system.posix_acl_default" not in os.listxattr(f"{seen}/inherits")


def big_directory(root, other):
    """A directory that is listed while names come and go: what stays all the time is seen once."""
    top = f"{root}/big"
    os.mkdir(top)
    stays = {f"stays-{i}" for i in range(1000)}
    for name in stays:
        os.mknod(f"{top}/{name}", 0o600)

    def churn():
        for i in range(300):
            os.mknod(f"{top}/goes-{i}", 0o600)
            if i >= 10:
                os.unlink(f"{top}/goes-{i - 10}")

    def list_it(base):
        for _ in range(5):
            names = os.listdir(f"{base}/big")
            assert len(names) == len(set(names)), "a name is listed twice"
            assert stays <= set(names), stays - set(names)

    in_children(churn, lambda: list_it(root), lambda: list_it(other))


CASES = [
    append, counter, mapped, rename_flags, refused, holes, copies, times, specials, space, acls,
    big_directory,
]  # fmt: skip

if __name__ == "__main__":
    case = {each.__name__: each for each in CASES}[sys.argv[1]]
    os.umask(0o022)
    case(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else sys.argv[2])
