import { createHash } from "node:crypto";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import { proto_message } from "@waku/proto";
import { describe, expect, test } from "vitest";
import { parseRlnCredentials, parseRlnGroup, type RlnCredentials } from "../src/rln/group.ts";
import { RlnProver } from "../src/rln/prover.ts";
import { encodeProof, epochBytes, epochOf, signalOf } from "../src/rln/rate-limit-proof.ts";
import { merklePath, TREE_DEPTH } from "../src/rln/tree.ts";
import { credentials, credentialsJson, group, groupJson, statement, vectors } from "./rln-support/vectors.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

function failure(run: () => unknown): ChatError {
  try {
    run();
  } catch (error) {
    if (error instanceof ChatError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

describe("what a proof is about", () => {
  test("S1: signal, epoch and its bytes are those of the vectors of all languages", () => {
    expect(signalOf(statement.payload, statement.topic, statement.timestampNs)).toEqual(hex(vectors.signal));
    expect(epochOf(statement.timestampNs, group)).toBe(BigInt(vectors.epochNumber));
    expect(epochBytes(BigInt(vectors.epochNumber))).toEqual(hex(vectors.epoch));
  });

  test("S1: an epoch changes at its first nanosecond", () => {
    const start = 600_000_000_000n * 4n;
    const offsets: [bigint, number][] = [
      [-1n, 3],
      [0n, 4],
      [599_999_999_999n, 4],
      [600_000_000_000n, 5],
    ];
    for (const [offset, epoch] of offsets) expect(epochOf(start + offset, group)).toBe(BigInt(epoch));
  });

  test("S1: an encoded proof has 335 bytes, each value in its field", () => {
    const laidOut = hex(vectors.proof);
    const encoded = encodeProof(laidOut, BigInt(vectors.epochNumber), group.rlnIdentifier);
    expect(encoded.length).toBe(335);
    const decoded = proto_message.RateLimitProof.decode(encoded);
    expect(Buffer.from(decoded.merkleRoot).toString("hex")).toBe(vectors.merkleRoot);
    expect(Buffer.from(decoded.epoch).toString("hex")).toBe(vectors.epoch);
    expect(Buffer.from(decoded.proof)).toEqual(Buffer.from(laidOut.subarray(0, 128)));
    expect(Buffer.from(decoded.nullifier)).toEqual(Buffer.from(laidOut.subarray(256)));
  });

  test("S1: a path leads from every leaf of a ragged tree to one root", () => {
    const pair = (left: Uint8Array, right: Uint8Array): Uint8Array =>
      new Uint8Array(createHash("sha256").update(left).update(right).digest());
    const leaves = [1, 2, 3, 4, 5].map((n) => new Uint8Array(32).fill(n));
    const roots = leaves.map((leaf, index) => {
      const { root: top, siblings, sides } = merklePath(leaves, index, pair);
      expect(siblings.length).toBe(TREE_DEPTH);
      const climbed = siblings.reduce(
        (node, sibling, level) => (sides[level] === 0 ? pair(node, sibling) : pair(sibling, node)),
        leaf,
      );
      expect(climbed).toEqual(top);
      return Buffer.from(top).toString("hex");
    });
    expect(new Set(roots).size).toBe(1);
  });
});

/** A group's file as JSON has it, to be spoilt. */
interface GroupFile {
  version: unknown;
  rlnIdentifier: unknown;
  epochSeconds: unknown;
  // biome-ignore lint/suspicious/noExplicitAny: tests put anything there
  members: any;
}

describe("files", () => {
  const spoilt = (json: string, change: (fields: GroupFile) => void) => {
    const fields = JSON.parse(json) as GroupFile;
    change(fields);
    return JSON.stringify(fields);
  };

  test.each<[string, (fields: GroupFile) => void]>([
    [
      "group.version",
      (g) => {
        g.version = 2;
      },
    ],
    [
      "group.rlnIdentifier",
      (g) => {
        g.rlnIdentifier = "00";
      },
    ],
    [
      "group.epochSeconds",
      (g) => {
        g.epochSeconds = 0;
      },
    ],
    [
      "group.epochSeconds",
      (g) => {
        g.epochSeconds = 1.5;
      },
    ],
    [
      "group.epochSeconds",
      (g) => {
        g.epochSeconds = 86_401;
      },
    ],
    [
      "group.members",
      (g) => {
        g.members = {};
      },
    ],
    [
      "group.members.length",
      (g) => {
        g.members = [];
      },
    ],
    [
      "group.members[1]",
      (g) => {
        g.members[1] = null;
      },
    ],
    [
      "group.members[1].userMessageLimit",
      (g) => {
        g.members[1].userMessageLimit = 65_536;
      },
    ],
    [
      "group.members[2].identityCommitment",
      (g) => {
        g.members[2] = g.members[0];
      },
    ],
  ])("S1: a bad %s is named", (field, change) => {
    const error = failure(() => parseRlnGroup(spoilt(groupJson, change)));
    expect(error.code).toBe(ErrorCode.INVALID_ARGUMENT);
    expect(error.message).toContain(`rln.${field}: `);
  });

  test("S1: the longest epochs are a day, as the core counts them", () => {
    const longest = spoilt(groupJson, (g) => {
      g.epochSeconds = 86_400;
    });
    expect(parseRlnGroup(longest).epochSeconds).toBe(86_400);
  });

  test("S3: an error about a group holds no part of what was given in its place", () => {
    for (const text of [credentialsJson, JSON.stringify(credentialsJson), credentialsJson.slice(1)]) {
      const error = failure(() => parseRlnGroup(text));
      expect(error.message).toContain("rln.group");
      expect(JSON.stringify([error.message, error.cause])).not.toContain(vectors.identitySecret.slice(0, 8));
    }
  });

  test("S3: an error about credentials holds no part of them", () => {
    const cut = credentialsJson.slice(0, -3);
    for (const text of [cut, `${credentialsJson}x`, credentialsJson.replace(vectors.identitySecret, "abcd")]) {
      const error = failure(() => parseRlnCredentials(text));
      expect(error.code).toBe(ErrorCode.INVALID_ARGUMENT);
      expect(JSON.stringify([error.message, error.cause])).not.toMatch(/abcd|01361f6f/);
    }
  });

  test.each<[string, Partial<RlnCredentials>]>([
    ["credentials.leafIndex", { leafIndex: 3 }],
    ["credentials.identityCommitment", { leafIndex: 0 }],
    ["credentials.userMessageLimit", { userMessageLimit: 99 }],
    ["credentials.rlnIdentifier", { rlnIdentifier: new Uint8Array(32) }],
    ["credentials.identitySecret", { identitySecret: new Uint8Array(31) }],
  ])("S1: credentials with a wrong %s open no prover", (field, change) => {
    const error = failure(() =>
      RlnProver.open({
        group,
        credentials: { ...credentials, ...change },
        circuit: { provingKey: "unread", witnessProgram: "unread" },
      }),
    );
    expect(error.code).toBe(ErrorCode.INVALID_ARGUMENT);
    expect(error.message).toContain(`rln.${field}: `);
  });
});
