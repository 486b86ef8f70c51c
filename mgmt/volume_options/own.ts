/** Options that our own translators declare: their tables say all but how GlusterFS spells a default. */

import type { OptionSpec } from "core/options.ts";

import { NONE, placesOf, type RowExtras } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";
import { XLATORS } from "xlators/mod.ts";

type Spelled = RowExtras & { readonly shown?: string };

const SPELLED: Readonly<Record<string, Spelled>> = {
  "auth.allow": { shown: "*", supplied: true },
  "auth.reject": { shown: NONE },
  "client.send-gids": { hidden: true },
  "cluster.extra-hash-regex": { hidden: true },
  "cluster.randomize-hash-range-by-gfid": { hidden: true },
  "cluster.rsync-hash-regex": { hidden: true },
  "ctime.noatime": { supplied: true },
  "debug.error-failure": { shown: NONE, hidden: true },
  "debug.error-fops": { shown: NONE, hidden: true },
  "debug.error-number": { shown: NONE, hidden: true },
  "debug.exclude-ops": { shown: NONE, hidden: true },
  "debug.include-ops": { shown: NONE, hidden: true },
  "debug.log-file": { shown: "no", hidden: true },
  "debug.log-history": { shown: "no", hidden: true },
  "debug.random-failure": { hidden: true },
  "delay-gen.delay-duration": { hidden: true },
  "delay-gen.delay-percentage": { hidden: true },
  "delay-gen.enable": { hidden: true },
  "diagnostics.count-fop-hits": { supplied: true, hidden: true },
  "diagnostics.latency-measurement": { supplied: true },
  "features.barrier": { shown: "disable", supplied: true, hidden: true },
  "features.barrier-timeout": { supplied: true },
  "features.cache-invalidation": { supplied: true },
  "features.ctime": { also: [{ xlator: "features/utime", option: "!utime" }] },
  "features.enforce-mandatory-lock": { supplied: true, hidden: true },
  "features.locks-notify-contention": { shown: "yes" },
  "features.locks-revocation-clear-all": { shown: "false" },
  "features.qcow2-cache-size": { shown: "64MB" },
  "features.show-snapshot-directory": { supplied: true },
  "features.snapshot-directory": { supplied: true },
  "features.worm": { supplied: true },
  "features.worm-file-level": { supplied: true },
  "features.worm-files-deletable": { supplied: true },
  "performance.aggregate-size": { shown: "128KB" },
  "performance.cache-capability-xattrs": { shown: "true", helpShown: NONE },
  "performance.cache-ima-xattrs": { shown: "true", helpShown: NONE },
  "performance.cache-invalidation": { shown: "false" },
  "performance.cache-samba-metadata": { shown: "false", helpShown: NONE },
  "performance.cache-swift-metadata": { shown: "false", helpShown: NONE },
  "performance.ctime-invalidation": { shown: "false" },
  "performance.force-readdirp": { shown: "true" },
  "performance.global-cache-invalidation": { shown: "true" },
  "performance.iot-pass-through": { shown: "false" },
  "performance.iot-watchdog-secs": { shown: NONE },
  "performance.lazy-open": { shown: "yes" },
  "performance.md-cache-pass-through": { shown: "false" },
  "performance.open-behind-pass-through": { shown: "false" },
  "performance.quick-read-cache-invalidation": { shown: "false" },
  "performance.quick-read-cache-size": { shown: "128MB" },
  "performance.rda-cache-limit": { shown: "10MB", supplied: true },
  "performance.rda-high-wmark": { shown: "128KB", hidden: true },
  "performance.rda-low-wmark": { hidden: true },
  "performance.rda-request-size": { supplied: true },
  "performance.read-after-open": { shown: "yes" },
  "performance.read-ahead-pass-through": { shown: "false" },
  "performance.readdir-ahead-pass-through": { shown: "false" },
  "performance.resync-failed-syncs-after-fsync": { helpShown: "(null)" },
  "performance.write-behind-pass-through": { shown: "false" },
  "performance.write-behind-window-size": { shown: "1MB" },
  "performance.xattr-cache-list": { helpShown: NONE },
  "storage.export-statfs-size": { hidden: true },
  "storage.fips-mode-rchecksum": { supplied: true, hidden: true },
  "storage.health-check-timeout": { hidden: true },
  "storage.reserve": { shown: "1" },
};

/** Rows of all translators of ours, in the order of xlators/mod.ts. */
export function ownRows(): VolumeOption[] {
  return XLATORS.flatMap((type) =>
    Object.entries(type.options as Readonly<Record<string, OptionSpec<unknown>>>)
      .flatMap(([option, spec]) =>
        spec.volumeKey === undefined ? [] : [row(type.type, option, spec, spec.volumeKey)]
      )
  );
}

function row(xlator: string, option: string, spec: OptionSpec<unknown>, key: string): VolumeOption {
  const shown = spec.default === undefined ? NONE : spec.print(spec.default);
  return { key, xlator, option, spec, shown, places: placesOf(xlator), ...SPELLED[key] };
}
