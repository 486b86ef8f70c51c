"""Runs lines of Python from stdin with libgfapi open as `g` and a volume as `fs`."""

import ctypes
import os
import struct
import sys

volfile, log = sys.argv[1:3]
g = ctypes.CDLL("libgfapi.so.0", use_errno=True)
for name in ("new", "creat", "open", "opendir", "readdir", "readdirplus", "h_creat", "h_lookupat"):
    getattr(g, "glfs_" + name).restype = ctypes.c_void_p
for name in ("pread", "pwrite", "lseek", "getxattr", "fgetxattr", "flistxattr", "copy_file_range"):
    getattr(g, "glfs_" + name).restype = ctypes.c_ssize_t


def call(name, *args):
    """Calls glfs_NAME; text goes as bytes, numbers as 64 bits. Answers a pointer or a number."""
    function = getattr(g, "glfs_" + name)
    passed = [a.encode() if isinstance(a, str) else a for a in args]
    passed = [ctypes.c_longlong(a) if isinstance(a, int) else a for a in passed]
    result = function(*passed)
    return ctypes.c_void_p(result) if function.restype is ctypes.c_void_p else result


def flock(kind, start, size):
    """A `struct flock` from the start of the file."""
    return ctypes.create_string_buffer(struct.pack("hhxxxxqqi", kind, 0, start, size, os.getpid()), 40)


def lease(command, kind):
    """A `struct glfs_lease` with an id of ours."""
    return ctypes.create_string_buffer(struct.pack("ii16sI", command, kind, b"a lease of ours.", 0), 28)


fs = call("new", "v")
assert call("set_volfile", fs, volfile) == 0
call("set_logging", fs, log, 7)
scope = globals()
for line in sys.stdin:
    try:
        exec(line, scope)
        sys.stdout.write("ok\n")
    except Exception as error:
        sys.stdout.write("!" + repr(error).replace("\n", " ") + "\n")
    sys.stdout.flush()
