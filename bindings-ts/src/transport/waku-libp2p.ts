import { mplex } from "@libp2p/mplex";
import { wakuDnsDiscovery, wakuPeerExchangeDiscovery } from "@waku/discovery";
import { createLibp2pAndUpdateOptions } from "@waku/sdk";
import { backoff, sleep } from "./deadline.ts";

export type Libp2p = Awaited<ReturnType<typeof createLibp2pAndUpdateOptions>>;
export type Connection = Awaited<ReturnType<Libp2p["dial"]>>;
export type Stream = Awaited<ReturnType<Connection["newStream"]>>;

/**
 * Of one connection. A node opens one stream for each message it pushes, in a burst many at a time: of 3,000 at once, 65 were open together. What
 * comes on further ones is left to the history.
 */
export const MAX_PUSH_STREAMS = 512;
const DNS_RETRY_MIN_MS = 2_000;
const DNS_REPEAT_MS = 900_000;

export interface Discovery {
  /** "enrtree://" URLs of DNS node lists. */
  dns: readonly string[];
  peerExchange: boolean;
}

/** A libp2p node as js-waku composes it (websockets, noise, mplex, identify, ping), not started, with the defaults that hurt replaced. */
export async function createNode(clusterId: number, discovery: Discovery): Promise<Libp2p> {
  const libp2p = await createLibp2pAndUpdateOptions({
    networkConfig: { clusterId },
    defaultBootstrap: false,
    libp2p: {
      start: false,
      peerDiscovery: [
        ...(discovery.dns.length > 0 ? [dnsInBackground(discovery.dns)] : []),
        ...(discovery.peerExchange ? [wakuPeerExchangeDiscovery()] : []),
      ],
      filterMultiaddrs: false,
      hideWebSocketInfo: true,
      // By default a connection is dropped when more than five messages a second arrive for streams that are closed. That
      // many come when a few requests time out, or a burst of pushes is cut off.
      streamMuxers: [mplex({ disconnectThreshold: Number.MAX_SAFE_INTEGER, maxInboundStreams: 2 * MAX_PUSH_STREAMS })],
      // The watchdog of WakuPeer tells more.
      connectionMonitor: { enabled: false },
      // In a browser, libp2p refuses addresses of the local network. Who configures one means it.
      connectionGater: { denyDialMultiaddr: async () => false },
      // js-waku's keeps a stream open that nobody uses.
      services: { metadata: () => ({}) },
    },
  });
  closeFailedUpgrades(libp2p);
  return libp2p;
}

/**
 * js-libp2p's websocket transport leaves the socket open when encryption or multiplexing cannot be agreed on (a node that does not
 * answer, or has another key than its address says): one more open socket at each attempt, and a process that does not end.
 */
function closeFailedUpgrades(libp2p: Libp2p): void {
  const { upgrader } = libp2p.components;
  const upgrade = upgrader.upgradeOutbound.bind(upgrader);
  upgrader.upgradeOutbound = async (socket, options) => {
    try {
      return await upgrade(socket, options);
    } catch (error) {
      socket.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };
}

/** Reads the lists often until a node is found, then now and then. js-waku reads once, and libp2p's start waits for that. */
function dnsInBackground(lists: readonly string[]): ReturnType<typeof wakuDnsDiscovery> {
  return (components) => {
    const dns = wakuDnsDiscovery([...lists])(components);
    const read = dns.start.bind(dns);
    const end = dns.stop.bind(dns);
    const stopping = new AbortController();
    let found = false;
    const keepReading = async (): Promise<void> => {
      for (let attempt = 0; ; attempt++) {
        await read().catch(() => undefined);
        await sleep(found ? DNS_REPEAT_MS : backoff(attempt, DNS_RETRY_MIN_MS, DNS_REPEAT_MS), stopping.signal);
      }
    };
    dns.addEventListener("peer", () => {
      found = true;
    });
    dns.start = async () => void keepReading().catch(() => undefined);
    dns.stop = () => {
      stopping.abort();
      end();
    };
    return dns;
  };
}
