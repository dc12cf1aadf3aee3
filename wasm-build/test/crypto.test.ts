import { vi } from "vitest";

// The whole suite of the providers of `Crypto`, with the plugin's native primitives in node:crypto's place.
vi.mock("../../bindings-ts/src/crypto/node-crypto.ts", async () => {
  const { Probe } = await import("./support/probe.ts");
  return { nodeCrypto: (await Probe.load()).crypto };
});

await import("../../conformance/test/crypto.test.ts");
