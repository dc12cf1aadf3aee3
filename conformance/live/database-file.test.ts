import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { JsonObject, Language } from "../agent/agent-process.ts";
import { Actor } from "../src/actor.ts";
import type { Opening } from "../src/scenario-schema.ts";
import { testedLanguages, theatre } from "./support/agents.ts";

/** F6, F7: one database file, written by each language, opened by the others. */

const stage = await theatre();
const languages = testedLanguages();

type Key = NonNullable<Opening["storageKey"]>;

const PROTECTIONS: { name: string; key: Key; wrong: Key[] }[] = [
  { name: "unprotected", key: { unprotected: true }, wrong: [{ passphrase: "a guess" }, { rawKey: "00".repeat(32) }] },
  {
    name: "with a passphrase",
    key: { passphrase: "grüße aus dem Waku-Netz" },
    wrong: [{ passphrase: "grüße aus dem Waku-netz" }, { unprotected: true }, { rawKey: "00".repeat(32) }],
  },
];

function actor(name: string, language: Language, folder: string, storageKey: Key): Actor {
  return new Actor({
    pool: stage.pool,
    node: stage.node,
    name,
    language,
    folder,
    opening: { storageKey },
    onLine() {},
  });
}

const WITHIN_MS = 20_000;

async function received(who: Actor, text: string): Promise<void> {
  await who.expect("messageReceived", { message: { text } }, WITHIN_MS);
}

async function send(who: Actor, conversationId: string, text: string): Promise<void> {
  await who.call("send", { conversationId, content: { text } });
}

async function accountOf(who: Actor): Promise<string> {
  return ((await who.call("defaultAccount")) as JsonObject)["id"] as string;
}

/** Two who have talked. Alice's process has ended. */
async function written(alice: Actor, bob: Actor): Promise<string> {
  await Promise.all([alice.start(), bob.start()]);
  const { link } = (await bob.call("createInvite", { accountId: await accountOf(bob) })) as { link: string };
  const params = { accountId: await accountOf(alice), link, content: { text: "hello from the first" } };
  const { id } = (await alice.call("acceptInvite", params)) as { id: string };
  await received(bob, "hello from the first");
  await send(bob, id, "crème brûlée");
  await received(alice, "crème brûlée");
  await alice.end("stop");
  return id;
}

/** All that belongs to the database: the file, and what lies beside it. */
function bytesOf(who: Actor, folder: string): Record<string, string> {
  const files = readdirSync(folder).filter((file) => file.startsWith(`${who.name}.db`));
  return Object.fromEntries(files.map((file) => [file, readFileSync(`${folder}/${file}`).toString("base64")]));
}

async function textsOf(who: Actor, method: string, params: JsonObject): Promise<unknown[]> {
  return ((await who.call(method, params)) as JsonObject[]).map(({ text }) => text);
}

const failsWith = (code: string, retryable = false) => expect.objectContaining({ code, retryable });

describe.concurrent.each(languages.flatMap((writer) => PROTECTIONS.map((protection) => ({ writer, ...protection }))))(
  "a file written in $writer, $name",
  ({ writer, key, wrong }) => {
    test("F6 F7 S4 is read, searched and written by the others, and by none with a wrong key or while another has it", async () => {
      const folder = stage.newFolder();
      const alice = (language: Language) => actor("alice", language, folder, key);
      const first = alice(writer);
      const bob = actor("bob", writer, folder, { unprotected: true });
      const id = await written(first, bob);
      const texts = ["crème brûlée", "hello from the first"];
      const before = bytesOf(first, folder);
      for (const language of languages) {
        const stranger = alice(language);
        for (const storageKey of wrong)
          await expect(stranger.start({ storageKey }), language).rejects.toEqual(failsWith("WRONG_KEY"));
        await stranger.leave();
      }
      expect(bytesOf(first, folder)).toEqual(before);

      for (const language of [...languages.filter((other) => other !== writer), writer]) {
        const reader = alice(language);
        await reader.start();
        expect(await reader.call("conversations")).toMatchObject([{ id, session: "established", initiator: true }]);
        expect(await textsOf(reader, "messages", { conversationId: id })).toEqual(texts);
        expect(await textsOf(reader, "search", { query: "CREME bru" })).toEqual(["crème brûlée"]);
        expect(await reader.call("safetyNumber", { conversationId: id })).toBe(
          await bob.call("safetyNumber", { conversationId: id }),
        );

        for (const other of languages) {
          const second = alice(other);
          await expect(second.start(), `${other} while ${language} has it`).rejects.toEqual(
            failsWith("DATABASE_LOCKED", true),
          );
          await second.leave();
        }

        const [question, answer] = [`written in ${language}`, `answer to ${language}`];
        await send(reader, id, question);
        await received(bob, question);
        await send(bob, id, answer);
        await received(reader, answer);
        texts.unshift(answer, question);
        // A file that its process did not close has its last commits beside it.
        await reader.end(language === writer ? "stop" : "kill");
      }
      expect(await textsOf(bob, "messages", { conversationId: id })).toEqual(texts);
      await bob.end("stop");
    });

    test("F7 an old copy is refused by the others: they know what one has seen", async () => {
      const folder = stage.newFolder();
      const first = actor("alice", writer, folder, key);
      const bob = actor("bob", writer, folder, { unprotected: true });
      const id = await written(first, bob);
      first.saveFile("old");
      await first.start();
      await send(first, id, "after the copy");
      await received(bob, "after the copy");
      await first.end("stop");
      first.saveFile("new");
      first.restoreFile("old");
      for (const language of languages) {
        const reader = actor("alice", language, folder, key);
        await expect(reader.start(), language).rejects.toEqual(failsWith("STATE_ROLLED_BACK"));
        await reader.leave();
      }
      first.restoreFile("new");
      const reader = actor("alice", languages.find((language) => language !== writer) ?? writer, folder, key);
      await reader.start();
      expect(await textsOf(reader, "messages", { conversationId: id, limit: 1 })).toEqual(["after the copy"]);
      await reader.end("stop");
      // Accepted by one, the old copy is the newest for all.
      first.restoreFile("old");
      await first.start({ acceptRollback: true });
      await first.end("stop");
      first.saveFile("accepted");
      first.restoreFile("new");
      for (const language of languages) {
        const refused = actor("alice", language, folder, key);
        await expect(refused.start(), language).rejects.toEqual(failsWith("STATE_ROLLED_BACK"));
        await refused.leave();
      }
      first.restoreFile("accepted");
      for (const language of languages) {
        const going = actor("alice", language, folder, key);
        await going.start();
        await going.end("stop");
      }
      await bob.end("stop");
    });

    test("F7 of two copies one is open at a time, in whichever language", async () => {
      const folder = stage.newFolder();
      const first = actor("alice", writer, folder, key);
      await first.start();
      await first.end("stop");
      for (const language of languages) {
        const copy = actor("copy", language, folder, key);
        copyFileSync(first.path, copy.path);
        await first.start();
        await expect(copy.start(), language).rejects.toEqual(failsWith("DATABASE_LOCKED", true));
        await first.call("createAccount");
        await first.end("stop");
        await expect(copy.start(), language).rejects.toEqual(failsWith("STATE_ROLLED_BACK"));
        await copy.leave();
      }
    });
  },
);

test("F6 the schema is the same, whichever language makes the file", async () => {
  const schemas = await Promise.all(
    languages.map(async (language) => {
      const alice = actor("alice", language, stage.newFolder(), { unprotected: true });
      await alice.start();
      await alice.end("stop");
      const database = new DatabaseSync(alice.path, { readOnly: true });
      const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0];
      const objects = database.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").all();
      const values = ["application_id", "user_version", "journal_mode", "encoding"].map(pragma);
      database.close();
      return { objects, values };
    }),
  );
  for (const schema of schemas) expect(schema).toEqual(schemas[0]);
  expect(schemas[0]!.values).toEqual([0x4353444b, 1, "wal", "UTF-8"]);
});
