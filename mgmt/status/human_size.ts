/** "11.4GB": bytes as GlusterFS tells them to people, in units of 1024. */
export function humanSize(bytes: number): string {
  const units = ["PB", "TB", "GB", "MB", "KB"] as const;
  for (const [index, unit] of units.entries()) {
    const size = 1024 ** (units.length - index);
    if (bytes >= size) return `${(bytes / size).toFixed(1)}${unit}`;
  }
  return `${bytes}Bytes`;
}
