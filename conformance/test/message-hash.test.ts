import { expect, test } from "vitest";
import { messageHash } from "../../bindings-ts/src/transport/waku-history.ts";
import file from "../vectors/waku-message-hash.json" with { type: "json" };

test.each(file.vectors)("R1 message hash of 14/WAKU2-MESSAGE: $name", (vector) => {
  const message = {
    payload: Buffer.from(vector.payload, "hex"),
    contentTopic: vector.contentTopic,
    timestamp: BigInt(`0x${vector.timestamp}`),
    ...(vector.meta === undefined ? {} : { meta: Buffer.from(vector.meta, "hex") }),
  };
  expect(messageHash(vector.pubsubTopic, message)).toBe(vector.hash);
});
