/** `mortar proxy`: a volume's client side as a process, for clients that have less of their own. */

import type { XlatorTypes } from "core/registry.ts";
import { BrickProcess } from "mgmt/brick/process.ts";
import { parseOverride } from "mgmt/brick/volfile.ts";
import { served } from "mgmt/brick/served_volfile.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { parseEndpoint } from "mgmt/endpoints.ts";
import { type Address, readAddress } from "mgmt/file/address.ts";
import { ManagementLink } from "mgmt/management_link.ts";
import { graphKey } from "mgmt/volgen/volfiles.ts";

const options = {
  listen: {
    value: "ADDRESS[:PORT]",
    help: "Where to listen: 127.0.0.1 if not given, 0.0.0.0 or [::] for other machines; any free " +
      "port if none is given.",
  },
  "xlator-option": {
    value: "VOLUME.OPTION=VALUE",
    many: true,
    help: "Set an option of a volume; * and ? in VOLUME stand for any characters and any one.",
  },
  ...DAEMON_OPTIONS,
} as const;

/** Addresses under which a proxy is found by the volfile of its clients. */
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/, ALL = /^(0\.0\.0\.0|::)$/;

/** The command. */
export function proxy(types: XlatorTypes): Command {
  return command({
    name: "proxy",
    summary: "Serve a volume to clients that have no layers of their own",
    description: [
      "Runs the volume's client side and serves it as the volume VOLUME.proxy, VOLUME-proxy where " +
      "names have no dots: GlusterFS's clients, QEMU's gluster:// among them, then see what our mounts " +
      "see, such as what is in qcow2 images. " +
      "HOST is the machine it runs on; the management daemon there tells clients its port. Who may " +
      "connect is decided as for the volume's bricks. Runs until SIGTERM. When bricks or layers of the " +
      "volume change, it is to be started again.",
    ],
    options,
    operands: { label: "HOST:VOLUME", min: 1, max: 1 },
    examples: [
      { what: "For programs on this machine", line: "mortar proxy localhost:v1" },
      { what: "What they do then", line: "mount -t glusterfs localhost:/v1.proxy /mnt" },
      {
        what: "A disk for QEMU",
        line: "qemu-img info gluster://localhost/v1-proxy/.qcow2/images/vm1.qcow2/disk.raw",
      },
      { what: "For other machines", line: "mortar proxy localhost:v1 --listen 0.0.0.0" },
    ],
    async run(values, [operand]) {
      const address = volumeAt(operand!);
      const { host, port } = listeningAt(values.listen ?? "127.0.0.1");
      const daemon = new Daemon({ comm: "mortar-proxy" }, values);
      try {
        const { env } = daemon;
        const link = new ManagementLink(env, {
          kind: "tcp",
          host: address.host,
          port: address.port,
        });
        const id = graphKey({ name: address.volume }, "proxy");
        const bind = { volume: "*-server", option: "transport.socket.bind-address", value: host };
        return await new BrickProcess(daemon, types, {
          source: served(
            link,
            id,
            daemon,
            "run it as the management daemon's user, on its machine",
          ),
          name: undefined,
          port,
          overrides: [bind, ...values["xlator-option"].map(parseOverride)],
          statedumps: values["statedump-dir"],
          socket: undefined,
          everywhere: false,
          link,
          signsIn: true,
        }).run();
      } finally {
        daemon.close();
      }
    },
  });
}

function volumeAt(text: string): Address {
  const address = readAddress(text);
  if (address && /^\/*$/.test(address.path)) return address;
  throw new UsageError(`Cannot serve "${text}": expected HOST:VOLUME`);
}

// The volfile of the clients names this machine or its loopback, and no other address of it.
function listeningAt(text: string): { host: string; port: number } {
  const endpoint = parseEndpoint(text, "--listen", { port: 0, min: 0 });
  if (endpoint.kind === "tcp" && (LOOPBACK.test(endpoint.host) || ALL.test(endpoint.host))) {
    return endpoint;
  }
  throw new UsageError(
    `Cannot listen on "${text}": expected 127.0.0.1, or 0.0.0.0 or [::] for other machines`,
  );
}
