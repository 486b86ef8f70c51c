/**
 * The tables of a brick's history, and how older ones become newer.
 *
 * Rows of `inode_version`, `dentry_version`, `extent` and `kept` say how a thing was until `epoch`
 * ended. A reader (a snapshot, or a clone) that ended epoch `e` sees of each thing the row with the
 * smallest epoch >= `e`; without such a row, the thing as it is now.
 */

/** "mhis": says that an SQLite file is ours. */
export const APPLICATION_ID = 0x6d686973;

/** Step `i` makes version `i + 1` of version `i`. Steps that were released never change. */
export const UPGRADES: readonly string[] = [
  `
  CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
  INSERT INTO counter VALUES ('epoch', 1), ('open', 0), ('synced', 0);

  -- Who reads old states. scope: 0 is the volume, else the inode of the only file.
  CREATE TABLE reader (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('snapshot', 'clone')),
    scope INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    active INTEGER NOT NULL
  ) WITHOUT ROWID, STRICT;

  -- Readers that went, and whose rows are still to be looked through.
  CREATE TABLE removed (epoch INTEGER PRIMARY KEY) STRICT;

  -- Short numbers for gfids.
  CREATE TABLE inode (id INTEGER PRIMARY KEY, gfid BLOB NOT NULL UNIQUE) STRICT;

  CREATE TABLE inode_version (
    inode INTEGER, epoch INTEGER, state BLOB NOT NULL,
    PRIMARY KEY (inode, epoch)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX inode_version_epoch ON inode_version (epoch);

  -- gfid: NULL is "no such name".
  CREATE TABLE dentry_version (
    parent INTEGER, name BLOB, epoch INTEGER, gfid BLOB, type INTEGER NOT NULL,
    PRIMARY KEY (parent, name, epoch)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX dentry_version_epoch ON dentry_version (epoch);

  -- Old data: units of 4 KiB; place: a byte in the segments, -1 for zeros.
  CREATE TABLE extent (
    inode INTEGER, start INTEGER, epoch INTEGER,
    units INTEGER NOT NULL, place INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (inode, start, epoch)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX extent_epoch ON extent (epoch);

  -- Files that lost their last name: all data that no extent has is in kept/GFID.EPOCH.
  CREATE TABLE kept (
    inode INTEGER, epoch INTEGER,
    PRIMARY KEY (inode, epoch)
  ) WITHOUT ROWID, STRICT;

  -- Bytes of each segment that extents name.
  CREATE TABLE segment (id INTEGER PRIMARY KEY, live INTEGER NOT NULL) STRICT;
`,
  `
  -- Files that begin as another's old state, the reader's. kept: the epoch with which the file was
  -- kept, 0 while it is alive. Units from \`units\` on are all its own; blocks: of the origin.
  CREATE TABLE clone (
    inode INTEGER, kept INTEGER, reader TEXT NOT NULL,
    units INTEGER NOT NULL, blocks INTEGER NOT NULL,
    PRIMARY KEY (inode, kept)
  ) WITHOUT ROWID, STRICT;

  -- A bit for each of 2048 units: own ones, and those of them that may be holes.
  CREATE TABLE own (
    inode INTEGER, kept INTEGER, piece INTEGER, own BLOB NOT NULL, holes BLOB NOT NULL,
    PRIMARY KEY (inode, kept, piece)
  ) WITHOUT ROWID, STRICT;
`,
  `
  -- Under which names older readers find an inode.
  CREATE INDEX dentry_version_gfid ON dentry_version (gfid) WHERE gfid IS NOT NULL;
`,
  `
  -- From here on every commit is counted in a file beside this one: commit_count.ts.
`,
  `
  -- From here on rows of data may be in a file beside this one first: notes.ts. Those up to this
  -- number are here.
  INSERT INTO counter VALUES ('noted', 0);
`,
];
