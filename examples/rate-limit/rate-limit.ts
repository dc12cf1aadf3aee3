// Private chat as a member of a network with RLN: examples/README.md has the commands.
// Alice prints an invite link, `rate-limit.ts bob LINK` accepts it. Then type: what is over the quota waits for the next epoch.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { type Logger, openChat, parseRlnGroup, RlnMembership } from "@chatsdk/client";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    /** What rln-group wrote for one member. Needed at the first start alone: the database keeps it. */
    member: { type: "string" },
    group: { type: "string", default: ".cache/club/group.json" },
    circuit: { type: "string", default: ".cache/rln/circuit" },
  },
});
const [name = "alice", link] = positionals;

const rln = new RlnMembership({
  group: parseRlnGroup(await readFile(values.group, "utf8")),
  circuit: { provingKey: `${values.circuit}/rln_final.zkey`, witnessProgram: `${values.circuit}/rln.wasm` },
  ...(values.member && { credentials: await readFile(values.member) }),
});
const chat = await openChat({
  path: `${name}.db`,
  storageKey: { unprotected: true }, // the credentials too; a real program gives a key
  peers: [process.env["WAKU_NODE"] ?? "/ip4/127.0.0.1/tcp/24201/ws"],
  rln,
  // A node that refuses what was published says why.
  logger: { debug() {}, info() {}, warn: (text) => console.error("!", text) } satisfies Logger,
});
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
  if (event.type !== "quotaChanged") continue;
  const { limit } = (await chat.quota()) ?? {};
  if (event.exhausted) console.log(`  over ${limit} messages: waiting until ${event.renewsAt.toLocaleTimeString()}`);
  else console.log("  nothing waits any more");
}
