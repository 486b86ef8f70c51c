/** Hosts as network namespaces, joined by a switch: cables can be pulled. */

import { must, Namespace } from "tests/e2e/process.ts";

const SWITCH = "switch";

/** A host; dispose it, and what runs there ends. */
export class Host implements AsyncDisposable {
  private constructor(
    readonly space: Namespace,
    readonly address: string,
    readonly center: Namespace,
    readonly port: string,
  ) {}

  /** Host number `index`, from 0, on the switch in `center`, which reaches it. */
  static async join(center: Namespace, index: number): Promise<Host> {
    const space = await Namespace.create();
    const host = new Host(space, `10.77.0.${index + 1}`, center, `host-${index}`);
    const at = (name: string, ...words: string[]) => must(["ip", "-n", name, ...words]);
    if (index === 0) {
      await at(center.name, "link", "add", SWITCH, "up", "type", "bridge");
      await at(center.name, "address", "add", "10.77.0.254/24", "dev", SWITCH);
    }
    const cable = ["type", "veth", "peer", "name", "eth0", "netns", space.name];
    await at(center.name, "link", "add", host.port, ...cable);
    await at(space.name, "address", "add", `${host.address}/24`, "dev", "eth0");
    await at(space.name, "link", "set", "eth0", "up");
    await at(center.name, "link", "set", host.port, "master", SWITCH, "up");
    return host;
  }

  /** Pulls the cable: not a packet passes, and no connection is told. */
  async cut(): Promise<void> {
    await must(["ip", "-n", this.center.name, "link", "set", this.port, "down"]);
  }

  /** Plugs it in again. */
  async mend(): Promise<void> {
    await must(["ip", "-n", this.center.name, "link", "set", this.port, "up"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.space[Symbol.asyncDispose]();
  }
}
