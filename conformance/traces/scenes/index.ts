import type { Stage } from "../stage.ts";
import { anything, calls, failures, limits } from "./calls.ts";
import { chat, contents, forged, large, lost, offline, quota, rollback, withoutStore } from "./conversations.ts";
import { damaged, deletion, invites, refusals, unprotected } from "./set-up.ts";

/** What is recorded, by the name its traces begin with. */
export const SCENES: Record<string, (stage: Stage) => void> = {
  "invites-suite-1": invites(1),
  "invites-suite-2": invites(2),
  "invites-refused": refusals,
  "chat-suite-1": chat(1, 40),
  "chat-suite-2": chat(2, 60),
  "chat-without-store": withoutStore,
  "messages-lost": lost,
  offline,
  large,
  contents,
  rollback,
  forged,
  calls,
  limits,
  failures,
  deletion,
  unprotected,
  damaged,
  "anything-1": anything(1),
  "anything-2": anything(2),
  quota,
};
