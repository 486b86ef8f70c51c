#!/usr/bin/env python3
"""What a POSIX file system must do, seen through one or two mounts of it.

fs_cases.py CASE MOUNT [MOUNT2] [NUMBER]; exit code 0 if all held. Runs on a plain local directory
too (given twice where two mounts are wanted): that is how the cases themselves are checked.
"""

import errno
import fcntl
import os
import shutil
import struct
import sys
import threading
import time


def names_of(codes):
    return " or ".join(errno.errorcode[code] for code in codes)


def fails(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except OSError as error:
        codes = code if isinstance(code, tuple) else (code,)
        assert error.errno in codes, f"{call.__name__}: {error} instead of {names_of(codes)}"
    else:
        raise AssertionError(f"{call.__name__} worked instead of failing")


def soon(call, *args):
    """What the kernel sends after a close() has returned takes a moment to arrive."""
    end = time.monotonic() + 5
    while True:
        try:
            return call(*args)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def small_files(root, other, count):
    """Many small files: made, listed, read and removed, the second mount sees the same."""
    top = f"{root}/small"
    os.mkdir(top)
    for i in range(count):
        write(f"{top}/file-{i}", b"%d\n" % i * 20)
    want = {f"file-{i}" for i in range(count)}
    for base in (top, f"{other}/small"):
        names = os.listdir(base)
        assert len(names) == count and set(names) == want, f"{len(names)} names in {base}"
        for i in range(0, count, 7):
            assert read(f"{base}/file-{i}") == b"%d\n" % i * 20
            assert os.stat(f"{base}/file-{i}").st_size == len(b"%d\n" % i * 20)
    for i in range(0, count, 2):
        os.rename(f"{top}/file-{i}", f"{top}/moved-{i}")
    for i in range(1, count, 2):
        os.unlink(f"{top}/file-{i}")
    assert set(os.listdir(top)) == {f"moved-{i}" for i in range(0, count, 2)}


def long_path(root, other, levels):
    """As `deep`, with a path longer than PATH_MAX."""
    deep(root, other, levels, "directory-" + "x" * 80)


def deep(root, other, levels, name="level-"):
    """A directory as deep as `levels`; moved in the middle; removed."""
    top = os.open(root, os.O_RDONLY)
    at = top
    for level in range(levels):
        os.mkdir(f"{name}{level}", dir_fd=at)
        at = os.open(f"{name}{level}", os.O_RDONLY, dir_fd=at)
    bottom = os.open("bottom", os.O_CREAT | os.O_RDWR, 0o640, dir_fd=at)
    os.write(bottom, b"deep")
    os.close(bottom)

    def walk(base, names):
        fd = os.open(base, os.O_RDONLY)
        for each in names:
            below = os.open(each, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        return fd

    names = [f"{name}{level}" for level in range(levels)]
    for base in (root, other):
        fd = walk(base, names)
        assert os.listdir(fd) == ["bottom"], os.listdir(fd)
        file = os.open("bottom", os.O_RDONLY, dir_fd=fd)
        assert os.read(file, 10) == b"deep"
        os.close(file)
        os.close(fd)
    # A move far above: everything below is found through another chain of names from now on.
    os.mkdir("elsewhere", dir_fd=top)
    upper = walk(root, names[:2])
    os.rename(names[2], "moved", src_dir_fd=upper, dst_dir_fd=walk(root, ["elsewhere"]))
    for size, base in ((4, root), (6, other)):
        fd = walk(base, ["elsewhere", "moved", *names[3:]])
        assert os.stat("bottom", dir_fd=fd).st_size == size
        write_fd = os.open("bottom", os.O_WRONLY | os.O_APPEND, dir_fd=fd)
        os.write(write_fd, b"er")
        os.close(write_fd)
    fd = walk(root, ["elsewhere", "moved", *names[3:]])
    assert os.stat("bottom", dir_fd=fd).st_size == 8
    shutil.rmtree(f"{root}/elsewhere")
    assert not os.path.exists(f"{root}/elsewhere")


def names(root, other, _):
    """Names of 255 bytes, of 256 bytes, with blanks, line breaks and bytes that are not UTF-8."""
    top = f"{root}/names".encode()
    os.mkdir(top)
    odd = [b"n" * 255, "ä".encode() * 127, b"with blank", b"line\nbreak", b"\xff\xfe raw", b"-rf", b"*"]
    odd += [b"quote\"'", b"back\\slash", b".hidden", b"...", b"trailing.", b"%s%n"]
    for each in odd:
        write(top + b"/" + each, each)
        os.setxattr(top + b"/" + each, "user.name", each)
    seen = f"{other}/names".encode()
    assert sorted(os.listdir(seen)) == sorted(odd), os.listdir(seen)
    for each in odd:
        assert read(seen + b"/" + each) == each
        assert os.getxattr(seen + b"/" + each, "user.name") == each
    fails(errno.ENAMETOOLONG, os.mkdir, top + b"/" + b"n" * 256)
    fails(errno.ENAMETOOLONG, os.symlink, b"x", top + b"/" + b"n" * 256)
    fails(errno.ENAMETOOLONG, os.rename, top + b"/*", top + b"/" + b"n" * 256)
    os.rename(top + b"/" + b"n" * 255, top + b"/" + b"m" * 255)
    os.symlink(b"t" * 1023, top + b"/link")
    assert os.readlink(seen + b"/link") == b"t" * 1023
    os.mkdir(top + b"/" + b"d" * 255)
    os.rmdir(top + b"/" + b"d" * 255)


def links(root, other, _):
    """Hard links: one file under many names, in several directories."""
    top, seen = f"{root}/links", f"{other}/links"
    os.makedirs(f"{top}/a/b")
    write(f"{top}/one", b"1")
    os.link(f"{top}/one", f"{top}/two")
    os.link(f"{top}/two", f"{top}/a/b/three")
    for name in ("one", "two", "a/b/three"):
        stat = os.stat(f"{seen}/{name}")
        assert stat.st_nlink == 3, stat
        assert stat.st_ino == os.stat(f"{seen}/one").st_ino
    write(f"{top}/a/b/three", b"changed")
    assert read(f"{top}/one") == b"changed"
    fails(errno.EEXIST, os.link, f"{top}/one", f"{top}/two")
    os.rename(f"{top}/one", f"{top}/two")  # the same file: nothing happens
    assert os.path.exists(f"{top}/one") and os.path.exists(f"{top}/two")
    os.unlink(f"{top}/one")
    assert os.stat(f"{top}/two").st_nlink == 2
    write(f"{top}/victim", b"victim")
    os.rename(f"{top}/two", f"{top}/victim")
    assert read(f"{top}/victim") == b"changed" and os.stat(f"{top}/a/b/three").st_nlink == 2
    fails(errno.EPERM, os.link, f"{top}/a", f"{top}/directory")
    os.symlink("nowhere", f"{top}/sym")
    os.link(f"{top}/sym", f"{top}/sym2", follow_symlinks=False)
    assert os.readlink(f"{top}/sym2") == "nowhere"


def unlinked(root, _other, _):
    """A file whose last name is gone works until it is closed; so does one that was renamed over."""
    path = f"{root}/unlinked"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b"before")
    os.unlink(path)
    assert not os.path.exists(path)
    os.pwrite(fd, b"after", 6)
    os.fsync(fd)
    assert os.pread(fd, 100, 0) == b"beforeafter"
    os.ftruncate(fd, 5)
    stat = os.fstat(fd)
    assert stat.st_nlink == 0 and stat.st_size == 5, stat
    write(path, b"another file of that name")
    assert os.pread(fd, 100, 0) == b"befor"
    os.close(fd)
    old = os.open(path, os.O_RDONLY)
    write(f"{root}/over", b"new")
    os.rename(f"{root}/over", path)
    assert os.read(old, 100) == b"another file of that name"
    os.close(old)
    assert read(path) == b"new"
    os.unlink(path)


def io(root, other, _):
    """Reading and writing: holes, appending, truncating, punching, direct I/O, large offsets."""
    path, seen = f"{root}/io", f"{other}/io"
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"end", 1 << 40)
    os.fsync(fd)
    assert os.fstat(fd).st_size == (1 << 40) + 3
    assert os.pread(fd, 4, 1 << 20) == b"\0\0\0\0"
    assert os.stat(path).st_blocks * 512 < 1 << 20, "the hole takes space"
    os.ftruncate(fd, 10)
    assert os.pread(fd, 100, 0) == b"\0" * 10
    os.close(fd)
    for base in (path, seen):
        fd = os.open(base, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"tail")
        os.close(fd)
    assert read(path) == b"\0" * 10 + b"tailtail"
    block = os.urandom(1 << 20)
    write(path, block)
    fd = os.open(seen, os.O_RDWR)
    assert os.pread(fd, 2 << 20, 0) == block
    os.posix_fallocate(fd, 0, 2 << 20)
    assert os.fstat(fd).st_size == 2 << 20
    os.close(fd)
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    import mmap

    page = mmap.mmap(-1, 4096)
    page.write(b"D" * 4096)
    assert os.pwritev(fd, [page], 8192) == 4096
    page.seek(0)
    page.write(b"\0" * 4096)
    assert os.preadv(fd, [page], 8192) == 4096
    assert page[:4096] == b"D" * 4096
    os.close(fd)
    assert read(path)[8192:12288] == b"D" * 4096 and read(path)[:8192] == block[:8192]
    fails(errno.EISDIR, os.open, root, os.O_WRONLY)
    fails(errno.ENOTEMPTY, os.rmdir, root_with_file(root))


def root_with_file(root):
    os.makedirs(f"{root}/full/inner", exist_ok=True)
    return f"{root}/full"


def attributes(root, other, _):
    """Owners, modes, times, extended attributes and ACLs, as the other mount sees them."""
    path, seen = f"{root}/attributes", f"{other}/attributes"
    write(path, b"x")
    os.chown(path, 1234, 4321)
    os.chmod(path, 0o6751)
    os.utime(path, ns=(1_000_000_000_123_456_789, 999_999_999_987_654_321))
    stat = os.stat(seen)
    assert (stat.st_uid, stat.st_gid) == (1234, 4321)
    assert stat.st_mode & 0o7777 == 0o6751, oct(stat.st_mode)
    assert stat.st_mtime_ns == 999_999_999_987_654_321, stat.st_mtime_ns
    values = {"user.empty": b"", "user.text": b"text", "user.bytes": bytes(range(256)), "trusted.own": b"t"}
    values["user.large"] = os.urandom(3000)
    for name, value in values.items():
        os.setxattr(path, name, value)
    names = os.listxattr(seen)
    for name, value in values.items():
        assert os.getxattr(seen, name) == value, name
        assert name in names, (name, names)
    hidden = [name for name in names if name.startswith(("trusted.gfid", "trusted.glusterfs", "trusted.afr"))]
    assert not hidden, hidden
    fails(errno.EEXIST, os.setxattr, path, "user.text", b"", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, path, "user.none", b"", os.XATTR_REPLACE)
    fails(errno.ENODATA, os.removexattr, path, "user.none")
    os.removexattr(path, "user.text")
    fails(errno.ENODATA, os.getxattr, path, "user.text")
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry)
        for entry in ((1, 7, 2**32 - 1), (2, 5, 77), (4, 5, 2**32 - 1), (16, 5, 2**32 - 1), (32, 0, 2**32 - 1))
    )
    os.setxattr(path, "system.posix_acl_access", acl)
    assert os.getxattr(seen, "system.posix_acl_access") == acl
    assert os.stat(path).st_mode & 0o777 == 0o750, oct(os.stat(path).st_mode)
    directory = f"{root}/inherits"
    os.mkdir(directory)
    os.setxattr(directory, "system.posix_acl_default", acl)
    os.mkdir(f"{directory}/below")
    assert os.getxattr(f"{other}/inherits/below", "system.posix_acl_default") == acl
    write(f"{directory}/file", b"")
    assert "system.posix_acl_access" in os.listxattr(f"{directory}/file")
    os.chmod(directory, 0o2775)
    os.chown(directory, 0, 4242)
    os.chmod(directory, 0o2775)
    os.mkdir(f"{directory}/group")
    stat = os.stat(f"{other}/inherits/group")
    assert stat.st_gid == 4242 and stat.st_mode & 0o2000, stat


def permissions(root, other, _):
    """What another user may not do, he cannot."""
    top, seen = f"{root}/private", f"{other}/private"
    os.mkdir(top, 0o755)
    write(f"{top}/secret", b"secret")
    os.chmod(f"{top}/secret", 0o600)
    write(f"{top}/public", b"public")
    os.mkdir(f"{top}/closed", 0o700)
    write(f"{top}/closed/file", b"")
    os.mkdir(f"{top}/shared", 0o755)
    os.chmod(f"{top}/shared", 0o1777)
    write(f"{top}/shared/root's", b"")
    write(f"{top}/group", b"group")
    os.chown(f"{top}/group", 0, 5555)
    os.chmod(f"{top}/group", 0o640)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([5555])
            os.setgid(7777)
            os.setuid(7777)
            fails(errno.EACCES, read, f"{seen}/secret")
            fails(errno.EACCES, os.open, f"{seen}/public", os.O_WRONLY)
            assert read(f"{seen}/public") == b"public" and read(f"{seen}/group") == b"group"
            fails(errno.EACCES, os.listdir, f"{seen}/closed")
            fails(errno.EACCES, os.stat, f"{seen}/closed/file")
            fails(errno.EACCES, write, f"{seen}/new", b"")
            fails(errno.EACCES, os.unlink, f"{seen}/public")
            fails(errno.EPERM, os.chmod, f"{seen}/public", 0o777)
            fails(errno.EPERM, os.chown, f"{seen}/public", 7777, 7777)
            # GlusterFS's own access-control answers EACCES where a kernel answers EPERM.
            fails((errno.EPERM, errno.EACCES), os.unlink, f"{seen}/shared/root's")
            write(f"{seen}/shared/mine", b"mine")
            assert os.stat(f"{seen}/shared/mine").st_uid == 7777
            os.unlink(f"{seen}/shared/mine")
            os._exit(0)
        except BaseException as error:
            print("as another user:", repr(error), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def waits_for(lock, release):
    """Runs the blocking `lock` in a thread; it must not finish before `release` was called."""
    done = threading.Event()
    failure = []

    def wait():
        try:
            lock()
        except BaseException as error:
            failure.append(error)
        done.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not done.wait(0.5), f"was not held up: {failure}"
    release()
    assert done.wait(20), "was not granted after the release"
    assert not failure, failure


def flock(root, other, _):
    """flock from two mounts."""
    write(f"{root}/flock", b"")
    a, b = os.open(f"{root}/flock", os.O_RDWR), os.open(f"{other}/flock", os.O_RDWR)
    now = fcntl.LOCK_NB
    fcntl.flock(a, fcntl.LOCK_EX)
    fails(errno.EAGAIN, fcntl.flock, b, fcntl.LOCK_EX | now)
    fails(errno.EAGAIN, fcntl.flock, b, fcntl.LOCK_SH | now)
    fcntl.flock(a, fcntl.LOCK_UN)
    fcntl.flock(b, fcntl.LOCK_SH | now)
    fcntl.flock(a, fcntl.LOCK_SH | now)
    fails(errno.EAGAIN, fcntl.flock, a, fcntl.LOCK_EX | now)
    fcntl.flock(b, fcntl.LOCK_UN)
    fcntl.flock(a, fcntl.LOCK_EX | now)
    waits_for(lambda: fcntl.flock(b, fcntl.LOCK_EX), lambda: fcntl.flock(a, fcntl.LOCK_UN))
    fails(errno.EAGAIN, fcntl.flock, a, fcntl.LOCK_EX | now)
    os.close(b)
    soon(fcntl.flock, a, fcntl.LOCK_EX | now)
    os.close(a)


def ranges(root, other, _):
    """fcntl locks from two mounts: ranges, splits, merges, who waits, and what a close lets go."""
    write(f"{root}/ranges", b"0" * 100)
    a, b = os.open(f"{root}/ranges", os.O_RDWR), os.open(f"{other}/ranges", os.O_RDWR)
    ex, sh, un, now = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB

    def get(fd, start, size):
        packed = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, size, 0)
        kind, _, at, length, _ = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, packed))
        return (kind, at, length) if kind != fcntl.F_UNLCK else None

    fcntl.lockf(a, ex | now, 10, 0)
    fails(errno.EAGAIN, fcntl.lockf, b, ex | now, 1, 5)
    fails(errno.EAGAIN, fcntl.lockf, b, sh | now, 1, 9)
    fcntl.lockf(b, ex | now, 10, 10)
    assert get(b, 0, 100) == (fcntl.F_WRLCK, 0, 10), get(b, 0, 100)
    assert get(a, 0, 100) == (fcntl.F_WRLCK, 10, 10), get(a, 0, 100)
    fcntl.lockf(a, un, 2, 4)  # splits: [0,4) and [6,10) stay
    fcntl.lockf(b, ex | now, 2, 4)
    fails(errno.EAGAIN, fcntl.lockf, b, ex | now, 1, 3)
    fails(errno.EAGAIN, fcntl.lockf, b, ex | now, 1, 6)
    fcntl.lockf(b, un, 2, 4)
    fcntl.lockf(a, ex | now, 2, 4)  # whole again
    for start in range(10):
        assert get(b, start, 1), f"byte {start} is not locked"
    fcntl.lockf(a, sh | now, 10, 0)  # becomes shared
    fcntl.lockf(b, sh | now, 5, 0)
    fails(errno.EAGAIN, fcntl.lockf, a, ex | now, 10, 0)
    fcntl.lockf(b, un, 0, 0)
    fcntl.lockf(a, ex | now, 0, 0)  # to the end of all offsets
    fails(errno.EAGAIN, fcntl.lockf, b, ex | now, 1, 1 << 40)
    waits_for(lambda: fcntl.lockf(b, ex, 5, 2), lambda: fcntl.lockf(a, un, 5, 2))
    fcntl.lockf(b, un, 0, 0)
    # Closing any descriptor of the file lets go of the process's locks on it.
    os.close(os.open(f"{root}/ranges", os.O_RDONLY))
    soon(fcntl.lockf, b, ex | now, 0, 0)
    os.close(b)
    soon(fcntl.lockf, a, ex | now, 0, 0)
    os.close(a)


def hold(root, _other, _):
    """Takes both kinds of lock, says so, and keeps them until it is killed."""
    for name in ("held-flock", "held-range"):
        write(f"{root}/{name}", b"")
    a = os.open(f"{root}/held-flock", os.O_RDWR)
    b = os.open(f"{root}/held-range", os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)
    fcntl.lockf(b, fcntl.LOCK_EX)
    write(f"{root}/holding", b"")
    threading.Event().wait()


def held(root, _other, expect):
    """Whether somebody else holds what `hold` takes: 1 yes, 0 no."""
    for name, lock in (("held-flock", fcntl.flock), ("held-range", fcntl.lockf)):
        fd = os.open(f"{root}/{name}", os.O_RDWR)
        if expect:
            fails(errno.EAGAIN, lock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)


CASES = [small_files, deep, long_path, names, links, unlinked, io, attributes, permissions, flock, ranges, hold, held]

if __name__ == "__main__":
    case = {each.__name__: each for each in CASES}[sys.argv[1]]
    second = sys.argv[3] if len(sys.argv) > 3 else sys.argv[2]
    os.umask(0o022)
    case(sys.argv[2], second, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
