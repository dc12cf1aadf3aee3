import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { expect, test } from "vitest";
import { entropyOf, Host } from "./support/module.ts";
import { Probe } from "./support/probe.ts";

const MIB = 2 ** 20;

test("S3 endless recursion is a RangeError, not a trap", async () => {
  const probe = await Probe.load();
  for (let times = 0; times < 3; times++) expect(() => probe.ask("recurse")).toThrow(RangeError);
  expect(probe.ask("evaluate", "1 + 1")).toBe(2);
});

test("S3 memory that runs out is an error, not a trap", async () => {
  const probe = await Probe.load();
  for (let times = 0; times < 3; times++) expect(() => probe.ask("exhaust")).toThrow("out of memory");
  expect(probe.ask("evaluate", "1 + 1")).toBe(2);
});

test("S3 memory is used again: a thousand steps take no more than the first hundred", () => {
  const host = Host.open();
  const step = (number: number) =>
    host.prepare({ case: "listInvites", value: { accountId: "none" } }, entropyOf(number));
  for (let number = 0; number < 100; number++) step(number);
  const before = host.instance.memoryBytes;
  for (let number = 100; number < 1100; number++) step(number);
  expect(host.instance.memoryBytes - before).toBeLessThanOrEqual(MIB);
});

test("S3 an instance takes little memory, and gives an answer to a request of many megabytes", () => {
  const host = Host.open();
  expect(host.instance.memoryBytes).toBeLessThan(8 * MIB);
  const payload = new Uint8Array(30 * MIB).fill(7);
  const { events } = host.prepare({ case: "envelopeReceived", value: { topic: "t", payload } }, entropyOf(1));
  expect(events).toStrictEqual([]);
  expect(host.instance.memoryBytes).toBeLessThan(256 * MIB);
});

test("S3 a message that is too large is the core's failure, not a defect", () => {
  const host = Host.open();
  const content = { domain: 1, tag: 1, version: 1, payload: new Uint8Array(8 * MIB) };
  const { reply } = host.prepare({ case: "acceptInvite", value: { accountId: "a", link: "l", content } }, entropyOf(1));
  expect(reply?.reply.case).toBe("failure");
  expect(reply?.reply.case === "failure" && reply.reply.value.code).not.toBe(ErrorCode.INTERNAL);
});
