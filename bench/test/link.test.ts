import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, describe, expect, it } from "vitest";
import { Link } from "../real/link.ts";

/** Answers each connection, once it has ended its side, with three times what came. */
const server = createServer({ allowHalfOpen: true }, (socket) => {
  void readToEnd(socket).then((received) => socket.end(Buffer.concat([received, received, received])));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/ws/p2p/16Uiu2`;
const links: Link[] = [];
afterAll(async () => {
  await Promise.all(links.map((link) => link.close()));
  server.close();
});

/** Unlike `buffer` of node:stream/consumers it leaves the other direction open. */
async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

async function openLink(nodeAddress = address): Promise<Link> {
  const link = await Link.open(nodeAddress);
  links.push(link);
  return link;
}

function dial(link: Link): Socket {
  const [, port] = /^\/ip4\/127\.0\.0\.1\/tcp\/(\d+)\/ws\/p2p\/16Uiu2$/.exec(link.through(address)) ?? [];
  return connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
}

describe("P1 the link that counts", () => {
  it("P1: hands on every byte and counts each once, over several connections, open and ended", async () => {
    const link = await openLink();
    for (const length of [0, 1, 300_000]) {
      const sent = Buffer.alloc(length, 7);
      const before = link.bytes;
      const socket = dial(link);
      const answer = readToEnd(socket);
      socket.end(sent);
      expect(Buffer.compare(await answer, Buffer.concat([sent, sent, sent]))).toBe(0);
      expect(link.bytes).toEqual({ up: before.up + length, down: before.down + 3 * length });
    }
    expect(link.connections).toBe(3);
  });

  it("P1: a node that cannot be reached is an ended connection, as it is without the link", async () => {
    const link = await openLink("/ip4/127.0.0.1/tcp/9");
    const socket = dial(link);
    await expect(once(socket.resume(), "end")).rejects.toThrow("ECONNRESET");
    expect(link.bytes).toEqual({ up: 0, down: 0 });
  });
});
