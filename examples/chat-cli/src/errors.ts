import { ChatError, ErrorCode } from "@chatsdk/client";
import { bad } from "./view.ts";

/** A mistake of the user, said in one sentence. */
export class UsageError extends Error {}

/** What to do about it in this program's terms, where the SDK's message speaks in those of its API. */
const remedies: Partial<Record<ErrorCode, string>> = {
  [ErrorCode.DATABASE_LOCKED]: "Another terminal has this profile open: close it, or take another --name.",
  [ErrorCode.WRONG_KEY]: "Start again with the passphrase of this profile.",
  [ErrorCode.STATE_ROLLED_BACK]:
    "Put the newest copy back. If it is gone: start with --accept-rollback, then /repair each conversation.",
  [ErrorCode.DATABASE_CORRUPT]: "Put a backup of the profile's folder back, or take another --name.",
  [ErrorCode.UNSUPPORTED_VERSION]: "Update this program.",
  [ErrorCode.STORAGE_FULL]: "Free some disk space and try again.",
  [ErrorCode.INVALID_INVITE]: "Copy the whole link, from logos_chatintro_2_ to its end.",
  [ErrorCode.INVITE_EXPIRED]: "Ask for a new link.",
  [ErrorCode.INVITE_WRONG_NETWORK]: "Start with the --cluster and --shards of the link's author.",
  [ErrorCode.INVITE_ALREADY_ACCEPTED]: "/list shows the conversation it started.",
  [ErrorCode.INVITE_OWN]: "The link is for somebody else: send it to them.",
  [ErrorCode.SESSION_LOST]: "/repair asks the peer for new keys.",
  [ErrorCode.REPAIR_TOO_SOON]: "A repair is asked for once a day at most.",
  [ErrorCode.NO_REPAIR_PENDING]: "Start over with a new link: /invite.",
  [ErrorCode.OUTBOX_FULL]: "Wait until some of your messages are delivered.",
  [ErrorCode.CONTENT_TOO_LARGE]: "Split it into several messages.",
  [ErrorCode.TRANSPORT_FAILED]: "Check the address after --node: it looks like /ip4/127.0.0.1/tcp/24201/ws.",
};

/** An error in a line or two: what happened, and the remedy. */
export function explain(error: unknown): string {
  if (error instanceof ChatError) {
    const remedy = remedies[error.code];
    return `${bad("✗")} ${error.codeName}: ${error.message}${remedy ? `\n  → ${remedy}` : ""}`;
  }
  return `${bad("✗")} ${error instanceof Error ? error.message : String(error)}`;
}
