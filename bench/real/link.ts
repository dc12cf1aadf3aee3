import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Bytes of TCP's payload: all that libp2p sends, without the headers of TCP and IP. */
export interface LinkBytes {
  up: number;
  down: number;
}

interface Wire {
  client: Socket;
  node: Socket;
}

/** Stands between one client and the service node, hands on every byte as it comes, and counts. */
export class Link {
  readonly #server: Server;
  readonly #port: number;
  readonly #wires = new Set<Wire>();
  readonly #ended: LinkBytes = { up: 0, down: 0 };
  /** Connections so far: one, if none was lost. */
  connections = 0;

  private constructor(nodePort: number) {
    this.#port = nodePort;
    // Each direction ends by itself, as it does without a relay.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#join(client));
  }

  static async open(nodeAddress: string): Promise<Link> {
    const link = new Link(Number(/\/tcp\/(\d+)/.exec(nodeAddress)?.[1]));
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  /** A node's multiaddr, by way of this link. */
  through(nodeAddress: string): string {
    return nodeAddress.replace(/\/tcp\/\d+/, `/tcp/${(this.#server.address() as AddressInfo).port}`);
  }

  #join(client: Socket): void {
    this.connections++;
    const node = connect({ port: this.#port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const wire = { client, node };
    this.#wires.add(wire);
    for (const [from, to] of [
      [client, node],
      [node, client],
    ] as const) {
      from.pipe(to);
      // An end that breaks breaks the other: the client sees what it would see without a relay.
      from.once("error", () => to.resetAndDestroy());
      from.once("close", () => {
        if (to.closed && this.#wires.delete(wire)) add(this.#ended, bytesOf(wire));
      });
    }
  }

  get bytes(): LinkBytes {
    const sum = { ...this.#ended };
    for (const wire of this.#wires) add(sum, bytesOf(wire));
    return sum;
  }

  async close(): Promise<void> {
    for (const { client, node } of this.#wires) {
      client.destroy();
      node.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}

function bytesOf({ client, node }: Wire): LinkBytes {
  return { up: client.bytesRead, down: node.bytesRead };
}

function add(to: LinkBytes, { up, down }: LinkBytes): void {
  to.up += up;
  to.down += down;
}
