/** Whether a volume is mounted on a directory already. */

/** Types of mounts that are volumes: ours, and GlusterFS's. */
const TYPE = /^fuse\.(mortar|glusterfs)$/;

/** True if `mountinfo`, lines as of /proc/self/mountinfo, has a volume on `directory`. */
export function isVolumeOn(mountinfo: Iterable<string>, directory: string): boolean {
  for (const line of mountinfo) {
    const [place = "", source = ""] = line.split(" - ");
    const [type = ""] = source.split(" ");
    if (TYPE.test(type) && unescaped(place.split(" ")[4] ?? "") === directory) return true;
  }
  return false;
}

// Blanks and backslashes are octal numbers there, of bytes.
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
