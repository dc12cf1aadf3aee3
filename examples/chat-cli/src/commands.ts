import { Reaction, Reply } from "@chatsdk/client";
import { renderUnicodeCompact } from "uqr";
import { cleanLine } from "./clean.ts";
import { fingerprint, Introduction } from "./contacts.ts";
import { UsageError } from "./errors.ts";
import type { Session } from "./session.ts";
import * as view from "./view.ts";

const PAGE = 20;
const FOUND = 20;

interface Command {
  usage: string;
  help: string;
  /** What it does is seen at once, so the line itself need not be. */
  isSeen?: boolean;
  run(session: Session, rest: string): Promise<void>;
}

const commands: Record<string, Command> = {
  invite: {
    usage: "/invite [reusable]",
    help: "makes a link for one person, or for several",
    async run({ client, account, screen }, rest) {
      if (rest !== "" && rest !== "reusable") throw new UsageError(`Say ${this.usage}.`);
      const { link, expiresAt, reusable } = await client.createInvite(account.id, { reusable: rest === "reusable" });
      screen.print(
        `Give this link to ${reusable ? "those you want to chat with" : "one person"}, on a way only they can read; good until ${view.whenOf(expiresAt)}:\n\n${view.bold(link)}\n`,
      );
      if (screen.interactive) screen.print(qrCode(link));
    },
  },
  invites: {
    usage: "/invites",
    help: "your links that can still be accepted",
    async run({ client, account, screen }) {
      const invites = await client.invites(account.id);
      const lines = invites.map(({ link, reusable, acceptedCount, expiresAt }, index) => {
        const kind = reusable ? `reusable, accepted ${acceptedCount} times` : "for one person";
        return `${String(index + 1).padStart(3)}  ${kind}, until ${view.whenOf(expiresAt)}  ${view.dim(`…${link.slice(-12)}`)}`;
      });
      screen.print(lines.length > 0 ? lines.join("\n") : "No links are open. /invite makes one.");
    },
  },
  revoke: {
    usage: "/revoke N",
    help: "takes back link N of /invites",
    async run({ client, account, screen }, rest) {
      const invite = (await client.invites(account.id))[Number(rest) - 1];
      if (!invite) throw new UsageError(`Say ${this.usage}, with a number of /invites.`);
      await client.revokeInvite(invite.id);
      screen.print("The link is taken back.");
    },
  },
  accept: {
    usage: "/accept LINK",
    help: "starts a conversation with whoever made the link",
    async run(session, rest) {
      if (rest === "") throw new UsageError(`Say ${this.usage}.`);
      const { client, account, screen, name } = session;
      const { identityKey, reusable } = await client.inspectInvite(rest);
      screen.print(`The link is by ${fingerprint(identityKey)}${reusable ? ", and others may have it too" : ""}.`);
      // They need not be online; what is written before they are waits for them.
      await session.open(await client.acceptInvite(account.id, rest, Introduction.of({ name })));
    },
  },
  list: {
    usage: "/list",
    help: "your conversations, with what is new",
    run: (session) => session.showList(),
  },
  open: {
    usage: "/open N|NAME",
    help: "opens a conversation; the peer learns what you read",
    async run(session, rest) {
      if (rest === "") throw new UsageError(`Say ${this.usage}. /list shows the conversations.`);
      await session.open(await session.find(rest));
    },
  },
  leave: {
    usage: "/leave",
    help: "closes the conversation: what comes in stays unread",
    run: (session) => session.leave(),
  },
  history: {
    usage: "/history [N]",
    help: "the newest messages once more",
    run: ({ current }, rest) => current.showNewest(countFrom(rest)),
  },
  older: {
    usage: "/older [N]",
    help: "the messages before those",
    run: ({ current }, rest) => current.showOlder(countFrom(rest)),
  },
  search: {
    usage: "/search WORDS",
    help: "finds messages in all conversations",
    async run({ client, screen, contacts, numbers, account }, rest) {
      const found = await client.search(rest, { limit: FOUND });
      const conversations = await client.conversations(account.id);
      const names = new Map(conversations.map((conversation) => [conversation.id, contacts.name(conversation)]));
      const lines = found.map((message) =>
        view.foundLine(message, numbers.of(message), names.get(message.conversationId) ?? "?"),
      );
      screen.print(lines.length > 0 ? lines.reverse().join("\n") : `Nothing found for "${rest}".`);
    },
  },
  reply: {
    usage: "/reply N TEXT",
    help: "answers message N",
    isSeen: true,
    async run({ client, current, numbers }, rest) {
      const [number, text] = numberAndText(rest);
      if (text === "") throw new UsageError(`Say ${this.usage}.`);
      const { id: messageId } = numbers.message(number, current.conversation.id);
      await current.add(await client.send(current.conversation.id, Reply.of({ messageId, text })));
    },
  },
  react: {
    usage: "/react N [EMOJI]",
    help: "reacts to message N, or takes the reaction back",
    isSeen: true,
    async run({ client, current, numbers }, rest) {
      const [number, reaction] = numberAndText(rest);
      const { id: messageId } = numbers.message(number, current.conversation.id);
      await current.add(await client.send(current.conversation.id, Reaction.of({ messageId, reaction })));
    },
  },
  cancel: {
    usage: "/cancel N",
    help: "gives up your message N if it is not delivered yet",
    async run({ client, current, numbers }, rest) {
      const { id } = numbers.message(numberAndText(rest)[0], current.conversation.id);
      await client.cancel(current.conversation.id, id);
    },
  },
  safety: {
    usage: "/safety",
    help: "the number to compare with your peer",
    async run({ client, current, screen }) {
      const digits = await client.safetyNumber(current.conversation.id);
      screen.print(
        `Read this to ${current.peer} over the phone, or face to face. If both of you see the same, nobody sits between you: /verify.\n\n${view.safetyNumberLines(digits)}\n`,
      );
    },
  },
  verify: {
    usage: "/verify [no]",
    help: "notes that you compared the numbers, or not",
    async run({ client, current, screen }, rest) {
      await client.setVerified(current.conversation.id, rest !== "no");
      await current.refresh();
      screen.print(`${current.peer} is ${view.verifiedWord(current.conversation)}.`);
    },
  },
  rename: {
    usage: "/rename NAME",
    help: "what the peer is called here; nobody else sees it",
    async run(session, rest) {
      const name = cleanLine(rest).slice(0, 24);
      if (name === "") throw new UsageError(`Say ${this.usage}.`);
      session.contacts.rename(session.current.conversation, name);
      session.showPrompt();
    },
  },
  repair: {
    usage: "/repair",
    help: "asks for new keys, or agrees to the peer's wish for them",
    async run({ client, current }) {
      const { id, session } = current.conversation;
      if (session === "repairRequested") await client.acceptRepair(id);
      else if (session === "lost" || session === "repairSent") await client.repairConversation(id);
      else throw new UsageError("Nothing is broken here: the keys are in order.");
    },
  },
  delete: {
    usage: "/delete yes",
    help: "deletes this conversation, keys and all, on this device",
    async run(session, rest) {
      const { current, client, contacts, screen } = session;
      const { peer, conversation } = current;
      if (rest !== "yes")
        throw new UsageError(`This cannot be undone. To delete all messages with ${peer}, say ${this.usage}.`);
      await client.deleteConversation(conversation.id);
      contacts.forget(conversation);
      session.forgetOpen();
      screen.print(`The conversation with ${peer} is deleted.`);
    },
  },
  whoami: {
    usage: "/whoami",
    help: "your name and fingerprint, and whether you are online",
    async run({ client, account, screen, name }) {
      screen.print(`${name}, ${fingerprint(account.identityKey)}, ${client.online ? "online" : "offline"}`);
    },
  },
  help: {
    usage: "/help",
    help: "this list",
    async run({ screen }) {
      const all = Object.values(commands);
      const width = Math.max(...all.map(({ usage }) => usage.length));
      const lines = all.map(({ usage, help }) => `  ${view.bold(usage.padEnd(width))}  ${help}`);
      screen.print(
        [
          "What does not begin with / is sent. N is the number before a message.",
          ...lines,
          `  ${view.bold("/quit".padEnd(width))}  ends the program, as do Ctrl-C and Ctrl-D`,
          "Ticks: … waits for the network, ✓ sent, ✓✓ on the peer's device, blue ✓✓ read.",
        ].join("\n"),
      );
    },
  },
};

/** For the tab key. */
export const completions = [...Object.keys(commands), "quit"].map((name) => `/${name}`);

/** Does what a line says: a command, or a message to the open conversation. */
export async function runLine(session: Session, line: string): Promise<void> {
  const [, name, rest = ""] = /^\/([a-z]+)(?:\s+(.*))?$/i.exec(line.trim()) ?? [];
  if (name === undefined) return say(session, line.replace(/^\/\//, "/"));
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (session.screen.interactive && !command?.isSeen) session.screen.print(view.dim(`› ${view.shortened(line, 72)}`));
  if (!command) throw new UsageError(`There is no command /${name}. /help shows what there is.`);
  await command.run(session, rest.trim());
}

async function say({ client, current }: Session, text: string): Promise<void> {
  if (text.trim() === "") return;
  await current.add(await client.send(current.conversation.id, text));
}

function numberAndText(rest: string): [number: number, text: string] {
  const [, number, text = ""] = /^(\d{1,6})(?:\s+(.*))?$/.exec(rest) ?? [];
  if (number === undefined) throw new UsageError("Give the number that stands before the message.");
  return [Number(number), text];
}

function countFrom(rest: string): number {
  if (rest === "") return PAGE;
  if (!/^[1-9]\d{0,2}$/.test(rest)) throw new UsageError("Give a number of messages, 1 to 999.");
  return Number(rest);
}

/** White is drawn, black is left out, whatever the terminal's colours are: or cameras do not see it. */
function qrCode(text: string): string {
  const lines = renderUnicodeCompact(text, { border: 2 }).split("\n");
  return lines.map((line) => `\x1b[97;40m${line}\x1b[0m`).join("\n");
}
