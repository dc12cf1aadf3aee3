import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type ServiceNode, startServiceNode } from "../../local-node/service-node.ts";

/** Longer than a message is tried. */
const RETENTION = "336h";
const CHECK_MS = 1_000;

/**
 * The Waku node that all chat programs of this machine share. Whoever finds none at the port starts one, with the same store; when
 * that program ends, so does its node, and one of the others starts the next.
 */
export class SharedNode {
  readonly #port: number;
  readonly #store: string;
  #own: ServiceNode | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ensuring: Promise<boolean> | undefined;

  constructor(port: number, dataFolder: string) {
    const folder = join(dataFolder, "local-node");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#port = port;
    this.#store = join(folder, "messages.db");
  }

  /** Starts a node unless one runs. True if it did. */
  async ensure(): Promise<boolean> {
    this.#ensuring ??= this.#ensure().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  /** Looks after the node from now on, while `isNeeded` says so. */
  keep(isNeeded: () => boolean, onStarted: () => void): void {
    const check = async (): Promise<void> => {
      if (isNeeded() && (await this.ensure())) onStarted();
    };
    // Another program may be quicker, or the old node may not have left the port yet: the next look will tell.
    this.#timer = setInterval(() => void check().catch(() => {}), CHECK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ensuring?.catch(() => {});
    await this.#own?.stop();
  }

  async #ensure(): Promise<boolean> {
    if (this.#own || (await isTaken(this.#port))) return false;
    let node: ServiceNode;
    try {
      node = await startServiceNode({
        websocketPort: this.#port,
        tcpPort: this.#port - 1,
        store: this.#store,
        retention: RETENTION,
      });
    } catch (error) {
      if (await isTaken(this.#port)) return false;
      throw error;
    }
    this.#own = node;
    void node.ended.then(() => {
      this.#own = undefined;
    });
    return true;
  }
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
