import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type DictValue, str, Xdata } from "core/xdata.ts";
import { element, printXml } from "mgmt/cli/xml.ts";
import {
  callFigures,
  clientFigures,
  fdFigures,
  inodeFigures,
  memoryFigures,
} from "mgmt/status/brick_figures.ts";
import { statusText } from "mgmt/status/status_text.ts";
import { statusXml } from "mgmt/status/status_xml.ts";
import type { StatusForm, StatusRow, ToldStatus } from "mgmt/status/volume_status.ts";

function dict(values: Readonly<Record<string, string | number>>): Xdata {
  return Xdata.of(
    Object.entries(values).map(([key, value]): [string, DictValue] => [
      key,
      typeof value === "string" ? str(value) : { type: "int", value },
    ]),
  );
}

const ROW: StatusRow = {
  of: "brick",
  hostname: "h",
  path: "/b",
  peerId: "c026f440-4e6b-4598-bfcd-de78e0922d8d",
  online: true,
  port: 49152,
  pid: 77,
};

function shown(form: StatusForm, figures: Partial<StatusRow>): { text: string; xml: string } {
  const status: ToldStatus = { name: "v", baseType: 0, rows: [{ ...ROW, ...figures }] };
  const xml = printXml(element("cliOutput", [statusXml([status], form)]));
  const from = xml.indexOf("<pid>77</pid>") + "<pid>77</pid>\n".length;
  const inside = xml.slice(from, xml.indexOf("        </node>"));
  return { text: statusText(status, form), xml: inside.replaceAll(/^ {10}/gm, "") };
}

const LINE = "-".repeat(46);

Deno.test("volume status fd: tables of connections with and without open files", () => {
  const fds = fdFigures(dict({
    "conncount": 3,
    "conn0.fdtable.refcount": 1,
    "conn0.fdtable.maxfds": 128,
    "conn0.fdtable.firstfree": 1,
    "conn0.fdtable.openfds": 1,
    "conn0.fdtable.fdentry5.pid": 4711,
    "conn0.fdtable.fdentry5.refcount": 2,
    "conn0.fdtable.fdentry5.flags": 32768,
    "conn2.fdtable.refcount": 1,
    "conn2.fdtable.maxfds": 128,
    "conn2.fdtable.firstfree": 0,
    "conn2.fdtable.openfds": 0,
  }));
  const { text, xml } = shown("fd", { fds });
  equal(
    text,
    `FD tables for volume v
${LINE}
Brick : h:/b
Connection 1:
RefCount = 1  MaxFDs = 128  FirstFree = 1
FD Entry            PID                 RefCount            Flags              
--------            ---                 --------            -----              
5                   4711                2                   32768              
 
Connection 2:
RefCount = 1  MaxFDs = 128  FirstFree = 0
No open fds
 
${LINE}
`,
  );
  equal(
    xml,
    `<fdStatus>
  <connections>2</connections>
  <connection>
    <fdTable>
      <refCount>1</refCount>
      <maxFds>128</maxFds>
      <firstFree>1</firstFree>
      <openFds>1</openFds>
      <fd>
        <entry>5</entry>
        <pid>4711</pid>
        <refCount>2</refCount>
        <flags>32768</flags>
      </fd>
    </fdTable>
  </connection>
  <connection>
    <fdTable>
      <refCount>1</refCount>
      <maxFds>128</maxFds>
      <firstFree>0</firstFree>
      <openFds>0</openFds>
    </fdTable>
  </connection>
</fdStatus>
`,
  );
});

Deno.test("volume status inode: inodes that a brick names are in XML, counts in text", () => {
  const inodes = inodeFigures(dict({
    "conncount": 1,
    "conn0.itable.lru_limit": 16384,
    "conn0.itable.active_size": 1,
    "conn0.itable.lru_size": 2,
    "conn0.itable.purge_size": 0,
    "conn0.itable.active0.gfid": "00000000-0000-0000-0000-000000000001",
    "conn0.itable.active0.nlookup": 1,
    "conn0.itable.active0.ref": 3,
    "conn0.itable.active0.ia_type": 2,
  }));
  const { text, xml } = shown("inode", { inodes });
  equal(
    text,
    `Inode tables for volume v
${LINE}
Brick : h:/b
LRU limit     : 16384
Active Inodes : 1
LRU Inodes    : 2
Purge Inodes  : 0
 
${LINE}
`,
  );
  equal(
    xml,
    `<inodeStatus>
  <connections>1</connections>
  <connection>
    <activeSize>1</activeSize>
    <active>
      <inode>
        <gfid>00000000-0000-0000-0000-000000000001</gfid>
        <nLookup>1</nLookup>
        <ref>3</ref>
        <iaType>2</iaType>
      </inode>
    </active>
    <lruSize>2</lruSize>
    <purgeSize>0</purgeSize>
  </connection>
</inodeStatus>
`,
  );
});

Deno.test("volume status callpool: a call with two frames, and one that the brick does not describe", () => {
  const figures = callFigures(dict({
    "callpool.count": 2,
    "callpool.stack0.uid": 1000,
    "callpool.stack0.gid": 100,
    "callpool.stack0.pid": 42,
    "callpool.stack0.unique": 9,
    "callpool.stack0.count": 2,
    "callpool.stack0.frame0.refcount": 1,
    "callpool.stack0.frame0.translator": "v-server",
    "callpool.stack0.frame0.complete": 0,
    "callpool.stack0.frame1.refcount": 0,
    "callpool.stack0.frame1.translator": "v-posix",
    "callpool.stack0.frame1.complete": 1,
    "callpool.stack0.frame1.parent": "v-server",
    "callpool.stack0.frame1.windfrom": "server4_fsync",
    "callpool.stack0.frame1.windto": "posix_fsync",
  }));
  const { text, xml } = shown("callpool", figures);
  equal(
    text,
    `Pending calls for volume v
${LINE}
Brick : h:/b
Pending calls: 2
Call Stack1
 UID    : 1000
 GID    : 100
 PID    : 42
 Unique : 9
 Frames : 2
 Frame 1
  Ref Count   = 1
  Translator  = v-server
  Completed   = No
 Frame 2
  Ref Count   = 0
  Translator  = v-posix
  Completed   = Yes
  Parent      = v-server
  Wind From   = server4_fsync
  Wind To     = posix_fsync
 
${LINE}
`,
  );
  equal(
    xml.slice(0, xml.indexOf("</callFrame>")),
    `<callpoolStatus>
  <count>2</count>
  <callStack>
    <uid>1000</uid>
    <gid>100</gid>
    <pid>42</pid>
    <unique>9</unique>
    <frameCount>2</frameCount>
    <callFrame>
      <refCount>1</refCount>
      <translator>v-server</translator>
      <complete>0</complete>
    `,
  );
});

Deno.test("volume status mem: pools stand in their columns", () => {
  const memory = memoryFigures(dict({
    "mallinfo.arena": 100,
    "mempool-count": 1,
    "pool0.name": "v-server:fd_t",
    "pool0.hotcount": 1,
    "pool0.coldcount": 1023,
    "pool0.paddedsizeof": 108,
    "pool0.alloccount": 5,
    "pool0.max_alloc": 2,
    "pool0.pool-misses": 3,
    "pool0.max-stdalloc": 4,
  }));
  const { text, xml } = shown("mem", { memory });
  equal(
    text.slice(text.indexOf("Mempool")),
    `Mempool Stats
-------------
Name                            HotCount ColdCount PaddedSizeof AllocCount MaxAlloc   Misses Max-StdAlloc
----                            -------- --------- ------------ ---------- -------- -------- ------------
v-server:fd_t                          1      1023          108          5        2        3            4
${LINE}

`,
  );
  equal(xml.includes("<padddedSizeOf>108</padddedSizeOf>\n"), true);
});

Deno.test("volume status: a brick that runs but does not answer is not called offline", () => {
  const { text, xml } = shown("clients", { unanswered: "it took 10 seconds" });
  equal(
    text,
    `Client connections for volume v\n${LINE}\nBrick : h:/b\n` +
      `Brick does not answer: it took 10 seconds\n${LINE}\n\n`,
  );
  equal(xml, "");
});

Deno.test("volume status: counts that a brick makes up cost no more than what it sent", () => {
  deepEqual(clientFigures(dict({ clientcount: 1e12 })), []);
  deepEqual(inodeFigures(dict({ conncount: 1e12 })), []);
  deepEqual(fdFigures(dict({ conncount: -1 })), []);
});
