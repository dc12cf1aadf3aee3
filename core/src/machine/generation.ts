import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Start } from "@chatsdk/abi/host_pb";
import { ChatError } from "../errors.ts";

/**
 * An accepted old copy goes on so far above the highest number seen: the anchor may lag behind the newest copy, which must not pass for
 * the newest any more.
 */
const LEAP = 2n ** 32n;
/** No database makes so many commits. */
const MAX_GENERATION = 2n ** 63n;

/**
 * At a start: the number that the next commit's follows. Once a rollback is accepted, numbers go on above everything this machine
 * has seen, and every other copy is an old one. Throws STATE_ROLLED_BACK if it is not accepted, INVALID_ARGUMENT if no number is left.
 */
export function lastCommit(own: bigint, { rolledBack, seenGeneration: seen }: Start): bigint {
  if (!rolledBack) {
    if (seen <= own) return own;
    throw new ChatError(
      ErrorCode.STATE_ROLLED_BACK,
      `database: an old copy (commit ${own}, this machine has seen ${seen}); open the newest, or accept the rollback`,
    );
  }
  const last = (seen > own ? seen : own) + LEAP;
  if (last < MAX_GENERATION) return last;
  throw new ChatError(
    ErrorCode.INVALID_ARGUMENT,
    `seen_generation: ${seen} is more than any database reaches; mend the rollback anchor`,
  );
}
