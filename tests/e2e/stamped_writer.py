"""Stamps blocks of a file one after the other with a number that grows, and checks such files.

stamped_writer.py write FILE ACKED   writes until it is ended; ACKED has the last number acknowledged
stamped_writer.py check FILE         prints the last number that is in it; fails if it is torn, or
                                     is not all up to that number
"""

import os
import struct
import sys

BLOCK, BLOCKS = 4096, 64


def stamp(number):
    return struct.pack("<Q", number) * (BLOCK // 8)


def write(path, acked):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DSYNC)
    told = os.open(acked, os.O_RDWR | os.O_CREAT)
    number = 0
    while True:
        number += 1
        os.pwrite(fd, stamp(number), number % BLOCKS * BLOCK)
        os.pwrite(told, b"%020d" % number, 0)


def check(path):
    with open(path, "rb") as file:
        data = file.read()
    found = {}
    for at in range(0, len(data), BLOCK):
        words = set(struct.unpack("<512Q", data[at : at + BLOCK]))
        assert len(words) == 1, f"block {at // BLOCK} is torn: {sorted(words)}"
        found[at // BLOCK] = words.pop()
    last = max(found.values())
    for block, number in found.items():
        want = last - (last - block) % BLOCKS
        assert number == max(want, 0), f"block {block} has {number}, of {last} it is {want}"
    print(last)


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3])
else:
    check(sys.argv[2])
