import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Argon2id } from "@chatsdk/abi/host_pb";
import { argon2id } from "hash-wasm";

export const SALT_LENGTH = 16;

/** RFC 9106, section 4, second recommended option: 64 MiB, three passes, four lanes. Memory in KiB. */
export const RECOMMENDED = { memoryKib: 65_536, passes: 3, lanes: 4 } as const;

/** What a file may ask for: beyond it a hostile one could hang or kill the program. Memory in KiB. */
const LARGEST = { memoryKib: 1_048_576, passes: 16, lanes: 16 } as const;

/**
 * Argon2id, version 0x13 (RFC 9106): 32 bytes. The recommended parameters take about half a second on a small server, in which the
 * event loop stands still. Throws DATABASE_CORRUPT for parameters out of bounds, STORAGE_FAILED if there is not enough memory.
 */
export async function deriveFromPassphrase(
  passphrase: Uint8Array,
  { salt, memoryKib, passes, lanes }: Argon2id,
): Promise<Uint8Array> {
  requireBetween("salt", salt.length, SALT_LENGTH, SALT_LENGTH, "bytes");
  requireBetween("lanes", lanes, 1, LARGEST.lanes, "");
  requireBetween("passes", passes, 1, LARGEST.passes, "");
  // RFC 9106 section 3.1: at least eight blocks a lane.
  requireBetween("memory_kib", memoryKib, 8 * lanes, LARGEST.memoryKib, "KiB");
  try {
    return await argon2id({
      password: passphrase,
      salt,
      parallelism: lanes,
      iterations: passes,
      memorySize: memoryKib,
      hashLength: 32,
      outputType: "binary",
    });
  } catch (error) {
    throw new ChatError(
      ErrorCode.STORAGE_FAILED,
      `derivation.argon2id: ${memoryKib} KiB of memory could not be used; free memory and try again`,
      { retryable: true, cause: error },
    );
  }
}

function requireBetween(name: string, value: number, smallest: number, largest: number, unit: string): void {
  if (value >= smallest && value <= largest) return;
  const range = smallest === largest ? `${smallest}` : `${smallest} to ${largest}`;
  throw new ChatError(
    ErrorCode.DATABASE_CORRUPT,
    `derivation.argon2id.${name}: ${value}, must be ${range} ${unit}`.trimEnd().concat("; restore a backup"),
  );
}
