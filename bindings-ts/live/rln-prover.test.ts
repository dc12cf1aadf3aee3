import { readFileSync } from "node:fs";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { proto_message } from "@waku/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RlnCredentials, RlnGroup } from "../src/rln/group.ts";
import { type RlnCircuit, RlnProver } from "../src/rln/prover.ts";
import type { ProofRequest } from "../src/transport/waku-transport.ts";
import { circuitFiles } from "../test/rln-support/circuit.ts";
import { credentials, group, rejection, statement, vectors } from "../test/rln-support/vectors.ts";

const circuit = circuitFiles();
const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

let prover: RlnProver;
beforeAll(() => {
  prover = RlnProver.open({ group, credentials, circuit });
});
afterAll(() => prover.close());

test("S1: it computes the root of the vectors", async () => {
  expect(Buffer.from(await prover.ready).toString("hex")).toBe(vectors.merkleRoot);
});

test("S1: its proof has the public values of the vectors, and proofs differ from each other", async () => {
  const [first, second] = await Promise.all([prover.prove(statement), prover.prove(statement)]);
  const expected = hex(vectors.proof);
  for (const encoded of [first, second]) {
    const { shareX, shareY, nullifier, merkleRoot } = proto_message.RateLimitProof.decode(encoded);
    expect(Buffer.from(merkleRoot)).toEqual(Buffer.from(expected.subarray(128, 160)));
    expect(Buffer.concat([shareX, shareY, nullifier])).toEqual(Buffer.from(expected.subarray(192)));
  }
  expect(first).not.toEqual(second);
});

test.each<[string, Partial<ProofRequest>]>([
  ["messageId", { messageId: 100 }],
  ["messageId", { messageId: -1 }],
  ["messageId", { messageId: 0.5 }],
  ["epoch", { epoch: BigInt(vectors.epochNumber) + 1n }],
  ["timestampNs", { timestampNs: -1n }],
  ["timestampNs", { timestampNs: 1n << 63n }],
])("S1: a wrong %s is refused before anything is proved", async (field, change) => {
  const error = await rejection(prover.prove({ ...statement, ...change }));
  expect(error.code).toBe(ErrorCode.INVALID_ARGUMENT);
  expect(error.message).toContain(`rln.${field}: `);
});

test("S1: an aborted proof rejects at once, and the next one is made", async () => {
  const abort = new AbortController();
  const aborted = prover.prove(statement, { signal: abort.signal });
  const next = prover.prove(statement);
  abort.abort();
  expect((await rejection(aborted)).code).toBe(ErrorCode.ABORTED);
  expect((await rejection(prover.prove(statement, { signal: abort.signal }))).code).toBe(ErrorCode.ABORTED);
  expect((await next).length).toBe(335);
});

test("S1: close rejects what is under way and what comes later", async () => {
  const closing = RlnProver.open({ group, credentials, circuit });
  const underWay = rejection(closing.prove(statement));
  await closing.close();
  for (const error of [underWay, rejection(closing.prove(statement)), rejection(closing.ready)])
    expect((await error).code).toBe(ErrorCode.CLOSED);
  await closing.close();
});

const key = () => new Uint8Array(readFileSync(circuit.provingKey));
const changed = () => {
  const bytes = key();
  bytes[1000] = (bytes[1000] as number) ^ 1;
  return bytes;
};
test.each<[string, string, () => { circuit?: RlnCircuit; group?: RlnGroup; credentials?: RlnCredentials }]>([
  ["a changed proving key", "circuit.provingKey", () => ({ circuit: { ...circuit, provingKey: changed() } })],
  ["no file", "circuit.witnessProgram", () => ({ circuit: { ...circuit, witnessProgram: "absent.wasm" } })],
  [
    "another's secret",
    "credentials.identitySecret",
    () => ({ credentials: { ...credentials, identitySecret: new Uint8Array(32).fill(1) } }),
  ],
])("S1: %s fails with its field's name", async (_, field, change) => {
  const broken = RlnProver.open({ group, credentials, circuit, ...change() });
  for (const failing of [rejection(broken.ready), rejection(broken.prove(statement))]) {
    const error = await failing;
    expect(error.code).toBe(ErrorCode.INVALID_ARGUMENT);
    expect(error.message).toContain(`rln.${field}: `);
  }
  await broken.close();
});

test("S1: the circuit's files may be given as bytes", async () => {
  const program = new Uint8Array(readFileSync(circuit.witnessProgram));
  const other = RlnProver.open({ group, credentials, circuit: { provingKey: key(), witnessProgram: program } });
  expect(Buffer.from(await other.ready).toString("hex")).toBe(vectors.merkleRoot);
  await other.close();
});
