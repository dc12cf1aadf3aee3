import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceNode, startServiceNode } from "../local-node/service-node.ts";
import { Chronicle } from "./chronicle.ts";
import { PersonProcess } from "./person-process.ts";
import { bold, dim, type Speaker, say, title } from "./printing.ts";

/** How long anything may take before the demonstration gives up. */
const PATIENCE_MS = 20_000;

const folder = mkdtempSync(join(tmpdir(), "chatsdk-quick-start-"));
const chronicle = new Chronicle();
const people = new Set<PersonProcess>();
let node: ServiceNode | undefined;

async function tell(): Promise<void> {
  const begin = performance.now();
  title("Alice and Bob, each in a process of their own, chat through a local Waku node");
  node = await startServiceNode({ store: join(folder, "node.db") });
  say("node", `serves on ${dim(node.address)}`);

  const alice = start("alice", node);
  let bob = start("bob", node);
  const link = await bob.order("invite");
  say("bob", `makes an invite link of ${link.length} characters, to hand over outside of Waku:`);
  console.log(`\n${bold(link)}\n`);
  await bob.stop();
  say("bob", "goes offline: his process has ended");

  say("alice", "accepts the link and writes, though Bob is not there");
  const first = [
    await accept(alice, link, "Hi Bob! The Waku store keeps this for you."),
    await write(alice, "Nobody had to answer before I could write."),
    await write(alice, "Tell me when you are back."),
  ];
  await until("sent messages", () => chronicle.reached("sent", first));

  bob = start("bob", node);
  say("bob", "comes back: a new process with the same database");
  await until("messages from the store", () => chronicle.hasReceived(first));
  await until("acknowledgement", () => chronicle.reached("delivered", first));
  await bob.order("markRead", first[2]!);
  await until("ticks", () => chronicle.reached("read", first));

  const answers = [
    await reply(bob, first[1]!, "And it was encrypted before I had ever been online with you."),
    await react(bob, first[2]!, "👍"),
    await write(bob, "I am back. Is it really you?"),
  ];
  await until("answers", () => chronicle.hasReceived(answers));
  await alice.order("markRead", answers[2]!);

  const [hers, his] = [await alice.order("safetyNumber"), await bob.order("safetyNumber")];
  say("alice", `reads her safety number out: ${hers}`);
  say("bob", `compares it with his own:     ${his}`);
  if (hers !== his) throw new Error("the safety numbers differ");

  const last = [
    await reply(alice, answers[2]!, "The numbers are equal: it is me."),
    await write(alice, "Every message has a key of its own."),
  ];
  await until("messages", () => chronicle.hasReceived(last));
  await bob.order("markRead", last[1]!);
  const goodbye = [await react(bob, last[1]!, "🔑"), await write(bob, "Good night!")];
  await until("messages", () => chronicle.hasReceived(goodbye));
  await alice.order("markRead", goodbye[1]!);

  await until("all ticks", () => chronicle.reached("read"));
  await Promise.all([alice.stop(), bob.stop()]);
  if (chronicle.troubles.length > 0) throw new Error(chronicle.troubles.join("; "));

  const count = chronicle.messageIds.length;
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  title(`${count} messages, ${count} delivered, ${count} read, safety numbers equal, ${seconds} s`);
  console.log("Now chat yourself, in two terminals:\n");
  console.log("  npm run chat -- --name alice\n  npm run chat -- --name bob\n");
}

function start(name: Speaker, { address }: ServiceNode): PersonProcess {
  const home = join(folder, name);
  mkdirSync(home, { recursive: true });
  const person = new PersonProcess(name, home, address, (...event) => chronicle.note(name, ...event));
  people.add(person);
  return person;
}

async function accept(person: PersonProcess, link: string, text: string): Promise<string> {
  const id = await person.order("accept", link, text);
  chronicle.wrote(person.name, id, text);
  return id;
}

async function write(person: PersonProcess, text: string): Promise<string> {
  const id = await person.order("send", text);
  chronicle.wrote(person.name, id, text);
  return id;
}

async function reply(person: PersonProcess, messageId: string, text: string): Promise<string> {
  const id = await person.order("reply", messageId, text);
  chronicle.wrote(person.name, id, `↩ ${chronicle.label(messageId)} ${text}`);
  return id;
}

async function react(person: PersonProcess, messageId: string, reaction: string): Promise<string> {
  const id = await person.order("react", messageId, reaction);
  chronicle.wrote(person.name, id, `${reaction} to ${chronicle.label(messageId)}`);
  return id;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`no ${what} within ${PATIENCE_MS / 1000} s`);
    await sleep(10);
  }
  chronicle.tellTicks();
}

/** Leaves no process and no file behind. */
async function cleanUp(): Promise<void> {
  for (const person of people) person.kill();
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
}

const interrupted = Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal))).then(() => {
  throw new Error("interrupted");
});

try {
  await Promise.race([tell(), interrupted]);
} catch (error) {
  console.error(`\nThe quick start failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await cleanUp();
}
