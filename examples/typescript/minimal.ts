// Private chat in one file: `node minimal.ts` prints an invite link, `node minimal.ts LINK` accepts it. Type to send.
import { createInterface } from "node:readline";
import { openChat } from "@chatsdk/client";

const link = process.argv[2];
const chat = await openChat({
  path: process.env["CHAT_DATABASE"] ?? (link ? "guest.db" : "host.db"),
  storageKey: { unprotected: true },
  peers: [process.env["WAKU_NODE"] ?? "/ip4/127.0.0.1/tcp/24201/ws"],
});
const me = await chat.defaultAccount();
let conversation = link ? await chat.acceptInvite(me.id, link, "Hello!") : undefined;
if (!link) console.log("Share this link:", (await chat.createInvite(me.id)).link);

const input = createInterface({ input: process.stdin });
input.on("line", async (line) => {
  if (conversation && line) await chat.send(conversation.id, line);
});
input.on("close", () => chat.close());

for await (const event of chat.events()) {
  if (event.type === "conversationStarted") conversation = event.conversation;
  if (event.type === "messageReceived") console.log(`< ${event.message.text}`);
  if (event.type === "messageStatusChanged") console.log(`  ${event.status}`);
}
