/**
 * Taking over the bricks of a volume that GlusterFS served: same id, same client names (marks for
 * healing on the bricks name clients), same options as far as its state directory tells. Nothing on the
 * bricks changes.
 */

import { type AdoptedVolume, readGlusterState } from "mgmt/adoption.ts";
import { type BrickFindings, clientNamesByOrder, readBrickDirectory } from "mgmt/adoption_brick.ts";
import { readBrickArguments } from "mgmt/bricks/command_line.ts";
import { argsOf, processes } from "mgmt/bricks/proc.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Layout } from "mgmt/cluster/layout.ts";
import { brickText, setSize, type VolumeRecord } from "mgmt/records.ts";

/** What a record has beside its state and its time. */
export type Adopted =
  & Pick<
    VolumeRecord,
    | "id"
    | "kind"
    | "replicaCount"
    | "arbiterCount"
    | "disperseCount"
    | "redundancyCount"
    | "stripeCount"
    | "options"
    | "nextClient"
  >
  & {
    /** In the order of the bricks. */
    readonly clientNames: readonly string[];
    /** What its clients log in with; undefined where nothing tells. */
    readonly login: { readonly username: string; readonly password: string } | undefined;
  };

interface Place {
  readonly host: string;
  readonly path: string;
}

/**
 * What bricks and, if `stateDirectory` is given, GlusterFS's state directory say of volume `name`.
 * `layout` and `options` count only without one. Throws Refusal where they contradict each other, or a
 * brick is served now.
 */
export async function readAdopted(
  name: string,
  bricks: readonly Place[],
  stateDirectory: string | undefined,
  fresh: {
    readonly layout: () => Layout;
    readonly options: (kind: Layout["kind"]) => Adopted["options"];
  },
): Promise<Adopted> {
  try {
    for (const brick of bricks) checkNotServed(brick);
    const findings: BrickFindings[] = [];
    for (const { path } of bricks) findings.push(await readBrickDirectory(path));
    if (stateDirectory === undefined) {
      const layout = fresh.layout();
      const { names, nextClient } = clientNamesByOrder(name, findings, setSize(layout));
      const id = commonId(bricks, findings);
      const options = fresh.options(layout.kind);
      return { id, ...layout, options, nextClient, clientNames: names, login: undefined };
    }
    return fromState(await readGlusterState(stateDirectory, name), bricks, findings);
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal(error.message);
    throw error;
  }
}

function fromState(
  state: AdoptedVolume,
  bricks: readonly Place[],
  findings: readonly BrickFindings[],
): Adopted {
  const same = state.bricks.length === bricks.length &&
    state.bricks.every(({ path }, index) => path === bricks[index]!.path);
  if (!same) {
    throw new Refusal(
      `Cannot adopt volume ${state.name}: its state directory tells of other bricks, or of another order: ` +
        `${state.bricks.map(brickText).join(" ")}; name just these`,
    );
  }
  const id = commonId(bricks, findings);
  if (id !== state.id) {
    throw new Refusal(
      `Cannot adopt volume ${state.name}: its bricks are of volume ${id}, its state directory is of ${state.id}`,
    );
  }
  const { username, password, bricks: known } = state;
  return {
    id,
    kind: state.kind,
    replicaCount: state.replicaCount,
    arbiterCount: state.arbiterCount,
    disperseCount: state.disperseCount,
    redundancyCount: state.redundancyCount,
    stripeCount: state.stripeCount,
    options: state.options,
    nextClient: state.nextClient,
    clientNames: known.map(({ clientName }) => clientName),
    login: { username, password },
  };
}

function commonId(bricks: readonly Place[], findings: readonly BrickFindings[]): string {
  const [first] = findings;
  for (const [index, { volumeId }] of findings.entries()) {
    const text = brickText(bricks[index]!);
    if (volumeId === undefined) {
      throw new Refusal(
        `Cannot adopt ${text}: it has no volume id, so no volume ever had it; leave --adopt out`,
      );
    }
    if (volumeId === first!.volumeId) continue;
    throw new Refusal(
      `Cannot adopt ${text}: it is of volume ${volumeId}, ${brickText(bricks[0]!)} is of ${
        first!.volumeId
      }`,
    );
  }
  return first!.volumeId!;
}

// Two processes on one brick would destroy it.
function checkNotServed(brick: Place): void {
  for (const pid of processes()) {
    if (readBrickArguments(argsOf(pid))?.path !== brick.path) continue;
    throw new Refusal(
      `Cannot adopt ${
        brickText(brick)
      }: process ${pid} serves it; stop the volume where it runs now`,
    );
  }
}
