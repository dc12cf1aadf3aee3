// Private chat: `node minimal.ts alice` prints an invite link, `node minimal.ts bob LINK` accepts it. Then type.
import { createInterface } from "node:readline";
import { openChat } from "@chatsdk/client";

const [name = "alice", link] = process.argv.slice(2);
const peers = [process.env["WAKU_NODE"] ?? "/ip4/127.0.0.1/tcp/24201/ws"]; // or a local node
const chat = await openChat({ path: `${name}.db`, storageKey: { unprotected: true }, peers });
const me = await chat.defaultAccount();

let [conversation] = await chat.conversations();
if (link && !conversation) conversation = await chat.acceptInvite(me.id, link, "Hello!");
if (!conversation) console.log("Share this link:", (await chat.createInvite(me.id)).link);

const input = createInterface({ input: process.stdin });
input.on("line", async (line) => {
  if (line && conversation) await chat.send(conversation.id, line);
});
input.on("close", () => chat.close());

for await (const event of chat.events()) {
  if (event.type === "conversationStarted") conversation = event.conversation;
  if (event.type === "messageReceived" && event.message.text) console.log("<", event.message.text);
  if (event.type === "messageStatusChanged") console.log("  ✓", event.status);
}
