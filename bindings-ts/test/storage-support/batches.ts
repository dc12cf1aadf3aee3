import { create } from "@bufbuild/protobuf";
import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { type Change, ChangeSchema } from "@chatsdk/abi/host_pb";
import type { Storage } from "../../src/storage/storage.ts";

const RECORDS = 3;
const TAGS = 8;

/**
 * The `number`th of a series of like commits, as sending and receiving make them: three records of 1 KB, of which one replaces its
 * predecessor and two are new while the ones before are deleted, eight tags added, the eight before removed, one message.
 */
export function batch(number: number): Change[] {
  const key = (record: number, of = number) => `series/${record}/${of}`;
  const value = new Uint8Array(1024).fill(number & 0xff);
  return [
    create(ChangeSchema, {
      change: { case: "put", value: { key: "series/state", value: new TextEncoder().encode(String(number)) } },
    }),
    ...Array.from({ length: RECORDS }, (_, record) =>
      create(ChangeSchema, { change: { case: "put", value: { key: key(record), value } } }),
    ),
    create(ChangeSchema, { change: { case: "addTags", value: { key: key(0), tags: tags(number) } } }),
    create(ChangeSchema, { change: { case: "removeTags", value: tags(number - 1) } }),
    create(ChangeSchema, { change: { case: "delete", value: key(0, number - 1) } }),
    create(ChangeSchema, {
      change: {
        case: "putMessage",
        value: {
          conversationId: "series",
          messageId: `m${number}`,
          outgoing: true,
          sequence: number,
          lamport: BigInt(number),
          payload: value.subarray(0, 150),
          text: `message number ${number}`,
          status: DeliveryStatus.QUEUED,
        },
      },
    }),
    create(ChangeSchema, {
      change: {
        case: "setStatus",
        value: { conversationId: "series", messageId: `m${number - 1}`, status: DeliveryStatus.SENT },
      },
    }),
  ];
}

/** How many batches the storage holds. Throws if one is there in part, or one is missing before the last. */
export async function wholeBatches(storage: Storage): Promise<number> {
  const state = await storage.secrets.get("series/state");
  const last = state ? Number(new TextDecoder().decode(state)) : 0;
  const expect = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`last batch ${last}: ${what}`);
  };
  const keys = new Set((await storage.secrets.scan("series/", 0)).map(({ key }) => key));
  expect(keys.size === (last === 0 ? 0 : 2 + (RECORDS - 1) * last), `${keys.size} records`);
  for (let number = 1; number <= last; number += 1) {
    for (let record = 1; record < RECORDS; record += 1)
      expect(keys.has(`series/${record}/${number}`), `record ${record} of ${number}`);
    const row = await storage.messages.message("series", `m${number}`);
    expect(row?.status === (number === last ? DeliveryStatus.QUEUED : DeliveryStatus.SENT), `message ${number}`);
  }
  expect(last === 0 || keys.has(`series/0/${last}`), "newest record");
  for (const number of [last - 1, last, last + 1].filter((candidate) => candidate > 0)) {
    for (const [index] of Array.from({ length: TAGS }).entries()) {
      const found = await storage.secrets.findTag(tags(number).subarray(8 * index, 8 * index + 8));
      expect(found?.key === (number === last ? `series/0/${number}` : undefined), `tag ${index} of ${number}`);
    }
  }
  expect((await storage.messages.message("series", `m${last + 1}`)) === undefined, "message of the next batch");
  if (last > 0)
    expect(
      (await storage.messages.search(`message number ${last}`, { limit: 1 }))[0]?.messageId === `m${last}`,
      "search",
    );
  return last;
}

function tags(number: number): Uint8Array {
  const bytes = new Uint8Array(8 * TAGS);
  for (let index = 0; index < TAGS; index += 1) new DataView(bytes.buffer).setUint32(8 * index, number * TAGS + index);
  return bytes;
}
