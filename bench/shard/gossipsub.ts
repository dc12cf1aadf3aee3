/** nwaku's parameters of gossipsub. */
const D = 6;
const D_LAZY = 6;
/** Heartbeats in which an id is announced. */
const HISTORY_GOSSIP = 3;
/** SHA-256 of the message, with tag and length. */
const ANNOUNCED_ID = 32 + 2;
/** Around a WakuMessage in an RPC: data, topic "/waku/2/rs/42/4" and message, each with tag and length. */
const MESSAGE_FRAMING = 3 + (2 + 15) + 3;

/** What one relay node receives of a shard, as multiples of the shard's traffic; it sends as much. Calculated, not simulated. */
export interface RelayNode {
  degree: number;
  /** Every link of the mesh carries a message once. */
  leastCopies: number;
  /** Both ends of every link send it, before either has heard it from the other. */
  mostCopies: number;
  /** IHAVE announcements of each message, in bytes. */
  announcements: number;
  leastMbps: number;
  mostMbps: number;
}

export function relayNode(shardMbps: number, bytesPerPublication: number): RelayNode {
  const announcements = D_LAZY * HISTORY_GOSSIP * ANNOUNCED_ID;
  const mbps = (copies: number): number =>
    (shardMbps * (copies * (bytesPerPublication + MESSAGE_FRAMING) + announcements)) / bytesPerPublication;
  const [leastCopies, mostCopies] = [D / 2, D];
  return {
    degree: D,
    leastCopies,
    mostCopies,
    announcements,
    leastMbps: mbps(leastCopies),
    mostMbps: mbps(mostCopies),
  };
}
