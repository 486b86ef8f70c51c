#!/usr/bin/env python3
"""many_files.py BRICK DIRECTORY COUNT: puts empty files into a directory of a stopped brick, with the
gfids and handles that a brick would have given them; making them through a client takes minutes."""

import os
import sys
import uuid

brick, directory, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
handles = f"{brick}/.glusterfs"


def handle(gfid):
    text = str(gfid)
    os.makedirs(f"{handles}/{text[:2]}/{text[2:4]}", 0o700, exist_ok=True)
    return f"{handles}/{text[:2]}/{text[2:4]}/{text}"


root = "00/00/00000000-0000-0000-0000-000000000001"
top = uuid.uuid4()
os.mkdir(f"{brick}/{directory}")
os.setxattr(f"{brick}/{directory}", "trusted.gfid", top.bytes)
os.symlink(f"../../{root}/{directory}", handle(top))
for i in range(count):
    gfid = uuid.uuid4()
    path = f"{brick}/{directory}/file-{i:06}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    os.setxattr(path, "trusted.gfid", gfid.bytes)
    os.link(path, handle(gfid))
