#!/usr/bin/env python3
"""What programs do with many small files, one phase a run: small_files.py PHASE DIRECTORY COUNT [FIRST]

Files of 4 KiB lie in directories of 1,000; FIRST is the number of the first one, a multiple of that.
Prints how many operations a second the phase made, and the median time of one in microseconds (0 where
there is none).
"""

import os
import sys
import time

PER_DIRECTORY = 1000
CONTENT = b"a small file.\n" * 292 + b"........"


def create(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, CONTENT)
    os.close(fd)


def read(path):
    fd = os.open(path, os.O_RDONLY)
    assert len(os.read(fd, 1 << 16)) == len(CONTENT), path
    os.close(fd)


def main():
    phase, top, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    folders = [f"{top}/{i // PER_DIRECTORY}" for i in range(first, first + count, PER_DIRECTORY)]
    paths = [f"{top}/{i // PER_DIRECTORY}/file-{i}" for i in range(first, first + count)]
    if phase == "create":
        for folder in folders:
            os.makedirs(folder)
    times = []
    begin = time.perf_counter()
    if phase == "readdir":
        # As `ls -l` does: names with their attributes.
        found = sum(1 for folder in folders for each in os.scandir(folder) if each.stat())
        assert found == count, found
    else:
        act = {"create": create, "stat": os.stat, "read": read, "unlink": os.unlink}[phase]
        for path in paths:
            before = time.perf_counter()
            act(path)
            times.append(time.perf_counter() - before)
    took = time.perf_counter() - begin
    times.sort()
    print(count / took, 1e6 * times[count // 2] if times else 0)


main()
