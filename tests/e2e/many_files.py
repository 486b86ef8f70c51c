#!/usr/bin/env python3
"""many_files.py BRICK DIRECTORY COUNT [COPY]…: puts empty files into a directory of a stopped brick,
and of its copies, with the gfids and handles that a brick would have given them; making them through
a client takes minutes."""

import os
import sys
import uuid

brick, directory, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
bricks = [brick, *sys.argv[4:]]
root = "00/00/00000000-0000-0000-0000-000000000001"


def handle(brick, gfid):
    text = str(gfid)
    folder = f"{brick}/.glusterfs/{text[:2]}/{text[2:4]}"
    os.makedirs(folder, 0o700, exist_ok=True)
    return f"{folder}/{text}"


top = uuid.uuid4()
for brick in bricks:
    os.mkdir(f"{brick}/{directory}")
    os.setxattr(f"{brick}/{directory}", "trusted.gfid", top.bytes)
    os.symlink(f"../../{root}/{directory}", handle(brick, top))
for i in range(count):
    gfid = uuid.uuid4()
    for brick in bricks:
        path = f"{brick}/{directory}/file-{i:06}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        os.setxattr(path, "trusted.gfid", gfid.bytes)
        os.link(path, handle(brick, gfid))
