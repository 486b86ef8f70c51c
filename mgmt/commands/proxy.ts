/** `mortar proxy`: a volume's client side as a process, for clients that have less of their own. */

import type { XlatorTypes } from "core/registry.ts";
import { served } from "mgmt/brick/served_volfile.ts";
import { type Override, parseOverride } from "mgmt/brick/volfile.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { parseEndpoint, parsePort } from "mgmt/endpoints.ts";
import { type Address, readAddress } from "mgmt/file/address.ts";
import { ManagementLink } from "mgmt/management_link.ts";
import { ProxyProcess } from "mgmt/proxy/process.ts";
import { graphKey } from "mgmt/volgen/volfiles.ts";

const options = {
  listen: {
    value: "ADDRESS[:PORT]",
    help:
      "Where to listen: 127.0.0.1 if not given, 0.0.0.0 or [::] for other machines, bricks for " +
      "where the volume's bricks do; any free port if none is given.",
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
      "connect is decided as for the volume's bricks. Runs until SIGTERM, and follows changes of the " +
      'volume meanwhile. "volume set VOLUME features.proxy on" keeps one running.',
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
      const { bind, port } = listeningAt(values.listen ?? "127.0.0.1");
      const daemon = new Daemon({ comm: "mortar-proxy" }, values);
      try {
        const { env } = daemon;
        const link = new ManagementLink(env, {
          kind: "tcp",
          host: address.host,
          port: address.port,
        });
        const id = graphKey({ name: address.volume }, "proxy");
        const hint = "run it as the management daemon's user, on its machine";
        return await new ProxyProcess(daemon, types, {
          source: served(link, id, daemon, hint),
          link,
          port,
          overrides: [...bind, ...values["xlator-option"].map(parseOverride)],
          statedumps: values["statedump-dir"],
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

// The volfile of the clients names this machine as its bricks do, or its loopback, and no other
// address of it.
function listeningAt(text: string): { bind: readonly Override[]; port: number } {
  const [, bricksPort] = /^bricks(?::(\d+))?$/.exec(text) ?? [undefined, null];
  if (bricksPort !== null) return { bind: [], port: parsePort(bricksPort ?? "0", "--listen", 0) };
  const endpoint = parseEndpoint(text, "--listen", { port: 0, min: 0 });
  if (endpoint.kind === "tcp" && (LOOPBACK.test(endpoint.host) || ALL.test(endpoint.host))) {
    const { host: value, port } = endpoint;
    return {
      bind: [{ volume: "*-server", option: "transport.socket.bind-address", value }],
      port,
    };
  }
  throw new UsageError(
    `Cannot listen on "${text}": expected 127.0.0.1, bricks, or 0.0.0.0 or [::] for other machines`,
  );
}
