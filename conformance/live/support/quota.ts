import { expect } from "vitest";
import type { JsonObject } from "../../agent/agent-process.ts";
import type { Actor } from "../../src/actor.ts";
import { until } from "./person.ts";

/** What tests of the rate limit ask of agents. */

const PATIENCE_MS = 600_000;

export async function accountOf(who: Actor): Promise<{ id: string; deliveryAddress: string }> {
  return (await who.call("defaultAccount")) as { id: string; deliveryAddress: string };
}

export async function topicsOf(...people: Actor[]): Promise<string[]> {
  return (await Promise.all(people.map(accountOf))).map(({ deliveryAddress }) => deliveryAddress);
}

export async function linkOf(who: Actor): Promise<string> {
  const { link } = (await who.call("createInvite", { accountId: (await accountOf(who)).id })) as { link: string };
  return link;
}

export async function accept(who: Actor, link: string, text: string): Promise<string> {
  const params = { accountId: (await accountOf(who)).id, link, content: { text } };
  return ((await who.call("acceptInvite", params)) as { id: string }).id;
}

export const send = (who: Actor, conversationId: string, text: string) =>
  who.call("send", { conversationId, content: { text } });

export const quotaOf = async (who: Actor) =>
  (await who.call("quota")) as { limit: number; remaining: number; renewsAt: string; waiting: number };

export const eventsOf = (who: Actor, type: string) => who.events.filter((event) => event["type"] === type);

/** What arrived in a conversation, in the order in which it came. */
export function received(who: Actor, conversationId: string): unknown[] {
  const messages = eventsOf(who, "messageReceived").map(({ message }) => message as JsonObject);
  return messages.filter((message) => message["conversationId"] === conversationId).map(({ text }) => text);
}

/** Ids of our messages that reached one of the statuses. */
export const withStatus = (who: Actor, ...wanted: string[]) =>
  new Set(
    eventsOf(who, "messageStatusChanged").flatMap(({ status, messageId }) =>
      wanted.includes(status as string) ? [messageId] : [],
    ),
  );

/** All of it, in order; the author knows, and none of his failed. */
export async function expectDelivered(from: Actor, to: Actor, conversationId: string, texts: readonly string[]) {
  const pair = `${from.name} to ${to.name}`;
  const arrived = () => received(to, conversationId);
  await until(
    () => arrived().includes(texts.at(-1)),
    () => `${pair}: ${arrived().length} of ${texts.length} have arrived`,
    PATIENCE_MS,
  );
  expect(arrived(), pair).toEqual(texts);
  const ours = async () => (await from.call("messages", { conversationId, limit: 100 })) as JsonObject[];
  await until(
    async () => (await ours()).every(({ outgoing, status }) => outgoing !== true || status === "delivered"),
    () => `${pair}: all are delivered`,
    PATIENCE_MS,
    200,
  );
  expect(withStatus(from, "failed"), pair).toEqual(new Set());
}

/** Told that messages wait, and at last that none does. */
export function expectToldOfQuota(who: Actor): void {
  const changes = eventsOf(who, "quotaChanged").map(({ exhausted }) => exhausted);
  expect(changes.length, who.name).toBeGreaterThanOrEqual(2);
  expect(changes, who.name).toEqual(changes.map((_, index) => index % 2 === 0));
  expect(changes.at(-1), who.name).toBe(false);
}

export const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i + 1}`);
