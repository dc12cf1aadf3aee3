import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { Program } from "./program.ts";
import { serviceNode, start, temporaryFolder } from "./stage.ts";

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

function chat(name: string, ...args: string[]): Program {
  const all = ["--name", name, "--data-folder", folder, ...args];
  return start("chat-cli/main.mjs", all, { XDG_STATE_HOME: join(folder, "state") });
}

async function connected(program: Program): Promise<Program> {
  // It may have been so before its first line.
  await program.until(/● online\n| {2}online {2}/);
  return program;
}

/** A person who has made a link, and one who has accepted it. */
async function pair(...args: string[]): Promise<[alice: Program, bob: Program]> {
  const [alice, bob] = await Promise.all(["alice", "bob"].map((name) => connected(chat(name, ...args))));
  await acceptInvite(alice!, await invite(bob!));
  await bob!.until(/Your invite was accepted by/);
  await bob!.until(/goes by the name of alice/);
  await alice!.until(/goes by the name of bob/);
  return [alice!, bob!];
}

async function invite(program: Program, kind = ""): Promise<string> {
  program.type(`/invite ${kind}`);
  return program.until(/^(logos_chatintro_2_\S+)$/m);
}

async function acceptInvite(program: Program, link: string): Promise<void> {
  program.type(`/accept ${link}`);
  await program.until(/waiting for the first answer/);
}

async function quit(program: Program): Promise<void> {
  program.type("/quit");
  expect(await program.end()).toBe(0);
}

/** A port that is free, as is the one below it. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = await listen(0);
    if ((await listen(port - 1)) !== 0) return port;
  }
}

/** The port, or 0 if it is taken. */
function listen(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(0));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

describe("F2 chat-cli: two people", () => {
  test("F4 U1 U2 invite, ticks, reply, reaction, safety number, a restart, messages for somebody who is away", async () => {
    const { address } = await serviceNode();
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "correct horse\n");
    const args = ["--node", address, "--passphrase-file", passphrase];
    const [alice, bob] = await pair(...args);

    alice.type("hello bob");
    await bob.until(/1 {2}~alice {4}hello bob\n/);
    await alice.until(/ 1 (delivered|read)\n/);
    bob.type("/reply 1 hi alice");
    await alice.until(/2 {2}~bob {4}┃ you: hello bob\n +hi alice\n/);
    alice.type("/react 2 👍");
    await bob.until(/~alice reacted 👍 to 2\n/);

    alice.type("/safety");
    bob.type("/safety");
    const digits = /(\d{5} {2}\d{5} {2}\d{5} {2}\d{5}\n[\d\s]+)\n/;
    expect(await alice.until(digits)).toBe(await bob.until(digits));
    alice.type("/verify");
    await alice.until(/~bob is verified/);
    bob.type("/rename Ally");

    await quit(bob);
    alice.type("this waits for you in the store");
    await alice.until(/ 3 sent\n/);
    const again = chat("bob", ...args);
    await again.until(/^Ally {2}[0-9a-f ]+ {2}end-to-end encrypted, not verified\n/m);
    await again.until(/you {2}✓✓ .*\n +hi alice {2}👍 Ally\n/);
    await again.until(/3 {2}Ally {4}this waits for you in the store\n/);
    await alice.until(/ 3 (delivered|read)\n/);
    again.type("/search WAITS");
    await again.until(/ 3 {2}Ally: this waits for you in the store\n/);
    again.type("/history 1");
    await again.until(/ 3 {2}Ally {4}this waits for you/);
    again.type("/older 1");
    await again.until(/ 2 {2}you/);
    again.type("/older");
    await again.until(/ 1 {2}Ally {4}hello bob\n/);
    await again.until(/This is the beginning/);
    again.type("/delete yes");
    await again.until(/The conversation with Ally is deleted/);
    again.type("/list");
    await again.until(/No conversations yet/);
    await quit(again);
    await quit(alice);
  });

  test("unread counts, a reusable link, read only once it is opened", async () => {
    const { address } = await serviceNode();
    const args = ["--node", address, "--unprotected"];
    const [alice, bob, carol] = await Promise.all(
      ["alice", "bob", "carol"].map((name) => connected(chat(name, ...args))),
    );
    const link = await invite(bob!, "reusable");
    await acceptInvite(alice!, link);
    await bob!.until(/goes by the name of alice/);
    await acceptInvite(carol!, link);
    await bob!.until(/goes by the name of carol/);
    carol!.type("one");
    carol!.type("two");
    await bob!.until(/✉ ~carol: one/);
    await bob!.until(/✉ ~carol: two/);
    await carol!.until(/ 2 (sent|delivered)\n/);
    bob!.type("/list");
    await bob!.until(/~carol +2 new/);
    bob!.type("/open carol");
    await bob!.until(/── 2 new ──\n.*one\n.*two\n/);
    await carol!.until(/ 2 read\n/);
    bob!.type("/list");
    await bob!.until(/▸ 1 {2}~carol {10}/);
  });

  test("what a peer writes cannot steer the terminal", async () => {
    const { address } = await serviceNode();
    const [alice, bob] = await pair("--node", address, "--unprotected");
    alice.type("\x1b[2J\x1b]0;title\x07a\x08b\u202ec\x9bd");
    await bob.until(/~alice {4}a.*b/);
    // Nothing but line breaks of all control characters.
    expect(bob.output).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
  });

  test("an old copy of the database: said, opened on request, repaired with the peer's consent", async () => {
    const { address } = await serviceNode();
    const args = ["--node", address, "--unprotected"];
    const [alice, bob] = await pair(...args);
    bob.type("before the copy");
    await alice.until(/before the copy/);
    await quit(bob);
    const database = join(folder, "bob", "chat.db");
    copyFileSync(database, join(folder, "copy.db"));
    const newer = await connected(chat("bob", ...args));
    newer.type("after the copy");
    await alice.until(/after the copy/);
    await quit(newer);
    copyFileSync(join(folder, "copy.db"), database);

    const refused = chat("bob", ...args);
    await refused.until(/STATE_ROLLED_BACK.*\n {2}→ .*--accept-rollback/);
    expect(await refused.end()).toBe(1);
    const restored = await connected(chat("bob", ...args, "--accept-rollback"));
    restored.type("with the old keys");
    await restored.until(/SESSION_LOST.*\n {2}→ \/repair/);
    restored.type("/repair");
    await alice.until(/~bob asks for new keys/);
    alice.type("/repair");
    await restored.until(/~alice is there: keys are established/);
    restored.type("with new keys");
    await alice.until(/~bob {4}with new keys\n/);
  });
});

describe("chat-cli: what goes wrong", () => {
  test("the node goes away and comes back: both are said, and what was written meanwhile arrives", async () => {
    const node = await serviceNode({ store: join(folder, "node.db") });
    const port = Number(/\/tcp\/(\d+)/.exec(node.address)?.[1]);
    const [alice, bob] = await pair("--node", `/ip4/127.0.0.1/tcp/${port}/ws`, "--unprotected");
    await node.stop();
    await alice.until(/○ connection lost/);
    await bob.until(/○ connection lost/);
    alice.type("into the dark");
    await serviceNode({ store: join(folder, "node.db"), websocketPort: port });
    await alice.until(/● online/);
    await bob.until(/~alice {4}into the dark\n/);
    await alice.until(/ 1 (delivered|read)\n/);
  });

  test("the local node: started by whoever comes first, and taken over when that program ends", async () => {
    const port = await freePort();
    const args = ["--local-port", String(port), "--unprotected"];
    const alice = await connected(chat("alice", ...args));
    expect(alice.output).toMatch(/No local Waku node was running: started one/);
    const bob = await connected(chat("bob", ...args));
    expect(bob.output).not.toMatch(/started one/);
    await acceptInvite(alice, await invite(bob));
    await bob.until(/goes by the name of alice/);
    alice.type("kept by the first node");
    await alice.until(/ 1 (sent|delivered|read)\n/);
    await quit(alice);
    await bob.until(/No local Waku node was running: started one/);
    await bob.until(/● online/);
    bob.type("given to the second node");
    await bob.until(/ \d sent\n/);
    const again = await connected(chat("alice", ...args));
    await again.until(/~bob {4}given to the second node\n/);
  });

  test("a wrong passphrase, a profile in use, a bad link, a command that is none: errors with a remedy", async () => {
    const { address } = await serviceNode();
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "right\n");
    const args = ["--node", address, "--passphrase-file", passphrase];
    const alice = await connected(chat("alice", ...args));
    alice.type("hello?");
    await alice.until(/✗ No conversation is open\. \/list shows them/);
    alice.type("/accept https://example.org");
    await alice.until(/✗ INVALID_INVITE: .*\n {2}→ Copy the whole link/);
    alice.type("/accept");
    await alice.until(/✗ Say \/accept LINK\./);
    alice.type("/dance");
    await alice.until(/✗ There is no command \/dance\. \/help/);
    alice.type("/react 9 👍");
    await alice.until(/✗ (There is no message 9|No conversation is open)/);

    const second = chat("alice", ...args);
    await second.until(/✗ DATABASE_LOCKED: .*\n {2}→ .*--name/);
    expect(await second.end()).toBe(1);
    await quit(alice);
    writeFileSync(passphrase, "wrong\n");
    const wrong = chat("alice", ...args);
    await wrong.until(/✗ WRONG_KEY: .*\n {2}→ /);
    expect(await wrong.end()).toBe(1);
    const none = chat("alice", "--node", address);
    await none.until(/✗ the profile alice needs a passphrase: give --passphrase-file/);
    expect(await none.end()).toBe(1);
    const misnamed = chat("../alice", "--node", address);
    await misnamed.until(/error: option '--name <name>' argument '\.\.\/alice' is invalid/);
    expect(await misnamed.end()).toBe(1);
  });

  test("--verbose writes a log without message contents", async () => {
    const { address } = await serviceNode();
    const [alice, bob] = await pair("--node", address, "--unprotected", "--verbose");
    alice.type("a secret word");
    await bob.until(/a secret word/);
    await quit(alice);
    await quit(bob);
    const log = readFileSync(join(folder, "alice", "chat.log"), "utf8");
    expect(log).toMatch(/^\S+Z info /);
    expect(log).not.toMatch(/secret|logos_chatintro/);
  });
});
