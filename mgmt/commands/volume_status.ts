/** `volume status`: which processes serve volumes, and what they have to do. */

import {
  type Arguments,
  managed,
  type ManagedCommand,
  OP_ERRNO,
  optional,
  Refusal,
} from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import { type StatusQuestion, volumeStatus as statusOf } from "mgmt/status/gather.ts";
import { statusText } from "mgmt/status/status_text.ts";
import { statusXml } from "mgmt/status/status_xml.ts";
import {
  STATUS_DAEMONS,
  STATUS_FORMS,
  type StatusDaemon,
  type StatusForm,
  type VolumeStatus,
  type VolumeStatusAnswer,
} from "mgmt/status/volume_status.ts";

const args = {
  volume: optional("[all|<VOLNAME>]", { help: "One volume; all if not given.", offers: "volume" }),
  process: optional("[nfs|shd|<BRICK>|quotad|proxy]", {
    help: "One process of it: a daemon, or a brick as HOST:/PATH.",
    offers: [...STATUS_DAEMONS, ...STATUS_FORMS],
  }),
  form: optional("[detail|clients|mem|inode|fd|callpool|tasks|client-list]", {
    help: "What to tell of each process, instead of where it listens.",
    offers: STATUS_FORMS,
  }),
};

/** See the head of this file. */
export const volumeStatus: ManagedCommand = managed({
  path: "volume status",
  summary: "display status of all or specified volume(s)/brick",
  args,
  scope: "nothing",
  rest: "GET /status",
  examples: [
    { what: "Processes of all volumes", line: "mortar volume status" },
    { what: "Disks of one volume", line: "mortar volume status v1 detail" },
    { what: "Clients of one brick", line: "mortar volume status v1 a:/bricks/v1 clients" },
  ],
  async apply(cluster, given): Promise<VolumeStatusAnswer> {
    const { volume, question } = readQuestion(given);
    const { form, only } = question;
    const asked = { all: volume === undefined, form, only: only ? whichOnly(only) : null };
    if (volume !== undefined) {
      const told = await statusOf(cluster, await cluster.volume(volume), question);
      return { ...asked, volumes: [told] };
    }
    const volumes = (await cluster.volumes()).map(async (record): Promise<VolumeStatus> => {
      try {
        return await statusOf(cluster, record, question);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { name: record.name, refused: error.message };
      }
    });
    return { ...asked, volumes: await Promise.all(volumes) };
  },
  text: ({ volumes, form }) =>
    volumes.map((volume) => "rows" in volume ? statusText(volume, form) : " \n").join(""),
  aside: ({ volumes }) =>
    volumes.length
      ? volumes.map((volume) => "refused" in volume ? `${volume.refused}\n` : "").join("")
      : "No volumes present\n",
  xml: ({ volumes, form }) => [statusXml(volumes, form)],
  failedXml: (message) => ({
    opErrno: OP_ERRNO.internal,
    elements: [element("cliOp", "volStatus"), element("output", message)],
    exitCode: 0,
  }),
});

function whichOnly(only: NonNullable<StatusQuestion["only"]>): "brick" | StatusDaemon {
  return "daemon" in only ? only.daemon : "brick";
}

function wrong(why: string): WrongArguments {
  return new WrongArguments(volumeStatus, why, true);
}

/** The words as GlusterFS reads them: the second may be a process or a form. */
function readQuestion(
  { volume, process, form: last }: Arguments<typeof args>,
): { readonly volume: string | undefined; readonly question: StatusQuestion } {
  const all = volume === undefined || volume === "all";
  const alone = last === undefined && process !== undefined ? formMeant(process) : undefined;
  const form = last === undefined ? alone ?? null : formMeant(last);
  if (form === undefined) throw wrong(`${last} is not a valid status option`);
  const only = alone === undefined ? process : undefined;
  if (only === undefined) return { volume: all ? undefined : volume, question: { form } };
  if (all) {
    throw wrong(
      last === undefined
        ? `${only} is not a valid status option`
        : `Cannot specify brick/nfs for "all"`,
    );
  }
  const daemon = STATUS_DAEMONS.find((each) => each === only);
  if (form !== null) checkForm(daemon, form);
  return { volume, question: { form, only: daemon ? { daemon } : { brick: only } } };
}

/** A form may be shortened as long as it is clear. */
function formMeant(word: string): StatusForm | undefined {
  const found = STATUS_FORMS.filter((form) => form.startsWith(word));
  return found.find((form) => form === word) ?? (found.length === 1 ? found[0] : undefined);
}

const NOT_OF_DAEMONS: Readonly<Record<StatusDaemon, readonly StatusForm[]>> = {
  nfs: ["fd", "detail", "tasks"],
  shd: ["fd", "clients", "detail", "tasks"],
  quotad: ["fd", "clients", "detail", "inode"],
  snapd: ["fd", "clients", "detail", "inode"],
  bitd: [],
  scrub: [],
  proxy: STATUS_FORMS,
};
const NOT_OF_TEXTS: Readonly<Record<StatusDaemon, string>> = {
  nfs: "Detail/FD/Tasks status not available for NFS Servers",
  shd: "Detail/FD/Clients/Tasks status not available for Self-heal Daemons",
  quotad: "Detail/FD/Clients/Inode status not available for Quota Daemon",
  snapd: "Detail/FD/Clients/Inode status not available for snap daemon",
  bitd: "",
  scrub: "",
  proxy: "Only port and process are told of proxies",
};

function checkForm(daemon: StatusDaemon | undefined, form: StatusForm): void {
  if (daemon && NOT_OF_DAEMONS[daemon].includes(form)) throw wrong(NOT_OF_TEXTS[daemon]);
  if (!daemon && form === "tasks") throw wrong("Tasks status not available for bricks");
}
