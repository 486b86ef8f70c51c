"""Stamps blocks of files with a sequence number, and tells whether files hold a clean cut of it.

write DIR NAME ACKED    writes until ACKED.stop is there; ACKED holds the last number that was synced
check DIR NAME LEAST    exits with 1 and a line unless the files are as they were after one write,
                        number LEAST or later; prints that number
"""

import os
import struct
import sys

FILES, BLOCKS, SIZE = 8, 32, 4096


def paths(directory, name):
    return [f"{directory}/{name}-{i}" for i in range(FILES)]


def place(number):
    """File and block of a number."""
    return number % FILES, number // FILES % BLOCKS


def write(directory, name, acked):
    files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for path in paths(directory, name)]
    for file in files:
        os.pwrite(file, bytes(BLOCKS * SIZE), 0)
        os.fsync(file)
    told = os.open(acked, os.O_RDWR | os.O_CREAT, 0o644)
    number = 0
    while not os.path.exists(acked + ".stop"):
        number += 1
        file, block = place(number)
        os.pwrite(files[file], struct.pack("<Q", number) * (SIZE // 8), block * SIZE)
        os.fdatasync(files[file])
        os.pwrite(told, b"%020d" % number, 0)


def check(directory, name, least):
    found = {}
    for file, path in enumerate(paths(directory, name)):
        with open(path, "rb") as opened:
            data = opened.read()
        for block in range(BLOCKS):
            numbers = set(struct.unpack("<%dQ" % (SIZE // 8), data[block * SIZE:(block + 1) * SIZE]))
            if len(numbers) != 1:
                return f"{path}: block {block} is torn: {sorted(numbers)[:4]}"
            found[file, block] = numbers.pop()
    last = max(found.values())
    if last < least:
        return f"number {least} was acknowledged before, the last one is {last}"
    wanted = {}
    for number in range(max(1, last - FILES * BLOCKS + 1), last + 1):
        wanted[place(number)] = number
    for at, number in found.items():
        if number != wanted.get(at, 0):
            return f"with number {last} there, block {at} holds {number}, not {wanted.get(at, 0)}"
    print(last)
    return None


if __name__ == "__main__":
    verb, directory, name, rest = sys.argv[1:]
    if verb == "write":
        write(directory, name, rest)
    else:
        wrong = check(directory, name, int(rest))
        if wrong:
            print(wrong)
            sys.exit(1)
