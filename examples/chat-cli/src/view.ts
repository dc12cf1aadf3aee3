import { styleText } from "node:util";
import type { ChatMessage, Conversation, DeliveryStatusName, FailureReasonName } from "@chatsdk/client";
import { AttachmentReference, Reaction } from "@chatsdk/client";
import { cleanLine, cleanText } from "./clean.ts";
import type { Block } from "./screen.ts";

/** How things look: texts in, lines out. Colours vanish by themselves where the output is not a terminal. */

export const dim = (text: string): string => styleText("dim", text);
export const bold = (text: string): string => styleText("bold", text);
export const good = (text: string): string => styleText("green", text);
export const bad = (text: string): string => styleText("red", text);
export const attention = (text: string): string => styleText("yellow", text);
const ours = (text: string): string => styleText("magenta", text);
export const theirs = (text: string): string => styleText("cyan", text);

const ticks: Record<DeliveryStatusName, string> = {
  queued: dim("… "),
  sent: dim("✓ "),
  delivered: dim("✓✓"),
  read: styleText(["blueBright", "bold"], "✓✓"),
  failed: bad("✗ "),
};

const reasons: Record<FailureReasonName, string> = {
  expired: "never acknowledged",
  cancelled: "given up by you",
  sessionReplaced: "its keys were replaced before it arrived; send it again",
};

export function statusWord(status: DeliveryStatusName, reason?: FailureReasonName): string {
  return reason ? `${status}: ${reasons[reason]}` : status;
}

export interface MessageView {
  message: ChatMessage;
  /** What `/reply` and `/react` call it. */
  number: number;
  peer: string;
  /** The message it answers, if that is known. */
  answers?: ChatMessage | undefined;
  /** Who reacted how. */
  reactions: ReadonlyMap<string, string>;
  recovered: boolean;
}

const OURS = "you";
const NUMBER_WIDTH = 3;

export function messageBlock({ message, number, peer, answers, reactions, recovered }: MessageView): Block {
  const { outgoing, status, failureReason } = message;
  const width = Math.max(peer.length, OURS.length);
  const name = (outgoing ? ours : theirs)((outgoing ? OURS : peer).padEnd(width));
  const tick = outgoing && status ? ticks[status] : "  ";
  const time = timeOf(message.sentAt);
  const notes = [
    recovered ? dim("(late)") : "",
    status === "failed" ? bad(`(${statusWord(status, failureReason)})`) : "",
    ...[...reactions].map(([who, reaction]) => (reaction ? `${cleanLine(reaction)} ${dim(who)}` : "")),
  ];
  const quote = message.refersTo === undefined ? "" : `${dim(`┃ ${quoteOf(answers, peer)}`)}\n`;
  const body = [contentText(message), ...notes.filter((note) => note !== "")].join("  ");
  return {
    text: `${dim(time)} ${dim(String(number).padStart(NUMBER_WIDTH))}  ${name} ${tick} ${quote}${body}`,
    indent: time.length + NUMBER_WIDTH + width + 7,
  };
}

function contentText(message: ChatMessage): string {
  const file = AttachmentReference.read(message);
  if (file) return dim(`[file ${cleanLine(file.name)}, ${file.mediaType}, ${file.size} bytes: ${cleanLine(file.url)}]`);
  if (message.text !== undefined) return cleanText(message.text);
  return dim(`[a message of a kind this program does not know: ${message.domain}/${message.tag}]`);
}

function quoteOf(message: ChatMessage | undefined, peer: string): string {
  if (!message) return "a message that is not here";
  return `${message.outgoing ? OURS : peer}: ${shortened(contentText(message), 48)}`;
}

export function reactionLine(message: ChatMessage, peer: string, number: number | undefined): string {
  const reaction = cleanLine(Reaction.read(message)?.reaction ?? "");
  const to = number === undefined ? "an earlier message" : `${number}`;
  const what = reaction ? `reacted ${reaction} to ${to}` : `took the reaction to ${to} back`;
  const who = message.outgoing ? ours(OURS) : theirs(peer);
  return `${dim(timeOf(message.sentAt))} ${" ".repeat(NUMBER_WIDTH)}  ${who} ${dim(what)}`;
}

export function dayLine(date: Date): string {
  const day = date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  return dim(`      ── ${day} ──`);
}

export function newLine(count: number): string {
  return attention(`      ── ${count} new ──`);
}

const sessions: Record<Conversation["session"], string> = {
  awaitingReply: "waiting for the first answer",
  established: "end-to-end encrypted",
  lost: "keys lost: /repair",
  repairSent: "waiting for the peer's consent to new keys",
  repairRequested: "the peer asks for new keys: /repair",
};

export function sessionWord(session: Conversation["session"]): string {
  return session === "established" || session === "awaitingReply" ? sessions[session] : attention(sessions[session]);
}

export function verifiedWord({ verified }: Conversation): string {
  return verified ? good("verified") : "not verified";
}

export interface ListedConversation {
  conversation: Conversation;
  name: string;
  fingerprint: string;
  unread: number;
  isOpen: boolean;
}

export function listLines(conversations: readonly ListedConversation[]): string {
  const width = Math.max(...conversations.map(({ name }) => name.length));
  const lines = conversations.map(({ conversation, name, fingerprint, unread, isOpen }, index) => {
    const count = unread > 0 ? attention(`${unread} new`.padEnd(7)) : "       ";
    const about = `${dim(fingerprint)}  ${sessionWord(conversation.session)}, ${verifiedWord(conversation)}`;
    return `${isOpen ? "▸" : " "}${String(index + 1).padStart(2)}  ${theirs(name.padEnd(width))}  ${count} ${about}  ${dim(whenOf(conversation.lastActivityAt))}`;
  });
  return lines.join("\n");
}

export function foundLine(message: ChatMessage, number: number, name: string): string {
  const who = message.outgoing ? ours(`${OURS} to ${name}`) : theirs(name);
  return `${dim(whenOf(message.sentAt))} ${dim(String(number).padStart(NUMBER_WIDTH))}  ${who}: ${shortened(contentText(message), 100)}`;
}

/** Twelve groups of five digits, in three rows. */
export function safetyNumberLines(digits: string): string {
  const groups = digits.split(" ");
  const row = (from: number): string => `    ${bold(groups.slice(from, from + 4).join("  "))}`;
  return [row(0), row(4), row(8)].join("\n");
}

/** The beginning of a message, in one line. */
export function preview(message: ChatMessage): string {
  return shortened(contentText(message), 60);
}

export function shortened(text: string, length: number): string {
  const characters = [...cleanLine(text)];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : characters.join("");
}

function timeOf(date: Date): string {
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

export function whenOf(date: Date): string {
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? timeOf(date)
    : date.toLocaleDateString("en-GB", { day: "2-digit", month: "2-digit", year: "numeric" });
}
