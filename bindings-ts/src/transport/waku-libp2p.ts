import { mplex } from "@libp2p/mplex";
import { createLibp2pAndUpdateOptions } from "@waku/sdk";

export type Libp2p = Awaited<ReturnType<typeof createLibp2pAndUpdateOptions>>;
export type Connection = Awaited<ReturnType<Libp2p["dial"]>>;
export type Stream = Awaited<ReturnType<Connection["newStream"]>>;

/** A node opens one stream for each message it pushes, in a burst all at once. */
export const MAX_PUSH_STREAMS = 4096;

/** A libp2p node as js-waku composes it (websockets, noise, mplex, identify, ping, discovery), not started, with the defaults that hurt replaced. */
export async function createNode(clusterId: number, discovery: { dns: boolean; peerExchange: boolean }): Promise<Libp2p> {
  const libp2p = await createLibp2pAndUpdateOptions({
    networkConfig: { clusterId },
    defaultBootstrap: false,
    discovery: { ...discovery, peerCache: false },
    libp2p: {
      start: false,
      filterMultiaddrs: false,
      hideWebSocketInfo: true,
      // By default a connection is dropped when more than five messages a second arrive for streams that are closed. That
      // many come when a few requests time out, or a burst of pushes is cut off.
      streamMuxers: [mplex({ disconnectThreshold: Number.MAX_SAFE_INTEGER, maxInboundStreams: MAX_PUSH_STREAMS })],
      // The watchdog of WakuPeer tells more.
      connectionMonitor: { enabled: false },
      // In a browser, libp2p refuses addresses of the local network. Who configures one means it.
      connectionGater: { denyDialMultiaddr: async () => false },
      // js-waku's opens a stream that nobody uses at each change of what is known of a peer.
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
