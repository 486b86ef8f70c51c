/** The table of the commands that the management daemon carries out. */

import type { ManagedCommand } from "mgmt/cli/managed.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeDelete } from "mgmt/commands/volume_delete.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { volumeStop } from "mgmt/commands/volume_stop.ts";

/** All of them, in the order that help shows. */
export const MANAGED: readonly ManagedCommand[] = [
  volumeCreate,
  volumeStart,
  volumeStop,
  volumeDelete,
];
