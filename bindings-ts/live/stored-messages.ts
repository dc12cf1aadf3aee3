import { multiaddr } from "@multiformats/multiaddr";
import { utils } from "@waku/sdk";
import { createNode } from "../src/transport/waku-libp2p.ts";
import { storeQuery, type WakuMessage } from "../src/transport/waku-wire.ts";

const PAGE = 100;
const TIMEOUT_MS = 30_000;

/** What a node's store has for content topics of one shard, whole: a transport hands on topic and payload alone. */
export async function storedMessages(
  websocket: string,
  topics: readonly string[],
  { clusterId = 42, shardCount = 8 } = {},
): Promise<WakuMessage[]> {
  const libp2p = await createNode(clusterId, { dns: [], peerExchange: false });
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    await libp2p.start();
    const connection = await libp2p.dial(multiaddr(websocket), { signal });
    const pubsubTopic = utils.contentTopicToPubsubTopic(topics[0] as string, clusterId, shardCount);
    const range = { startNs: 0n, endNs: BigInt(Date.now() + 3_600_000) * 1_000_000n };
    const messages: WakuMessage[] = [];
    let cursor: Uint8Array | undefined;
    do {
      const page = await storeQuery(connection, { pubsubTopic, topics, ...range, limit: PAGE, cursor }, signal);
      messages.push(...page.entries);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return messages;
  } finally {
    await libp2p.stop();
  }
}
