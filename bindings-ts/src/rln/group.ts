import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ChatError } from "@chatsdk/core";

/** A static membership group, as `waku-node rln-group` writes it into group.json. Byte strings are little-endian. */
export interface RlnGroup {
  /** Sets applications apart: 32 bytes, in which text is padded with zeros. */
  readonly rlnIdentifier: Uint8Array;
  readonly epochSeconds: number;
  /** By leaf of the tree. */
  readonly members: readonly RlnMember[];
}

export interface RlnMember {
  /** 32 bytes. */
  readonly identityCommitment: Uint8Array;
  /** Messages in an epoch. */
  readonly userMessageLimit: number;
}

/** What a member needs to prove, beside the group. Whoever has `identitySecret` can use up the member's quota. */
export interface RlnCredentials {
  readonly rlnIdentifier: Uint8Array;
  readonly leafIndex: number;
  readonly userMessageLimit: number;
  readonly identityCommitment: Uint8Array;
  /** 32 bytes. */
  readonly identitySecret: Uint8Array;
}

const FILE_VERSION = 1;
const MAX_MEMBERS = 2 ** 20;
const MAX_MESSAGE_LIMIT = 2 ** 16 - 1;
/** The core's: nodes take groups with longer epochs, clients do not. */
const MAX_EPOCH_SECONDS = 24 * 3600;

const REMEDY = {
  group: "give the content of group.json as rln-group wrote it",
  credentials: "give the content of member-N.json as rln-group wrote it",
};
type File = keyof typeof REMEDY;

/** Reads a group's file. Throws INVALID_ARGUMENT, naming the field. */
export function parseRlnGroup(json: string): RlnGroup {
  const fields = readObject(json, "group");
  const members = fields["members"];
  if (!Array.isArray(members)) throw invalid("group.members", `must be a list; ${REMEDY.group}`);
  return checkGroup({
    rlnIdentifier: bytes(fields, "rlnIdentifier", "group"),
    epochSeconds: integer(fields, "epochSeconds", "group"),
    members: members.map((member: unknown, index) => {
      const where = `group.members[${index}]` as const;
      if (typeof member !== "object" || member === null) throw invalid(where, `must be an object; ${REMEDY.group}`);
      const own = member as Record<string, unknown>;
      return {
        identityCommitment: bytes(own, "identityCommitment", where),
        userMessageLimit: integer(own, "userMessageLimit", where),
      };
    }),
  });
}

/** Reads a credentials file. Throws INVALID_ARGUMENT, naming the field; the error never holds a part of the file. */
export function parseRlnCredentials(json: string): RlnCredentials {
  const fields = readObject(json, "credentials");
  return {
    rlnIdentifier: bytes(fields, "rlnIdentifier", "credentials"),
    leafIndex: integer(fields, "leafIndex", "credentials"),
    userMessageLimit: integer(fields, "userMessageLimit", "credentials"),
    identityCommitment: bytes(fields, "identityCommitment", "credentials"),
    identitySecret: bytes(fields, "identitySecret", "credentials"),
  };
}

/** Throws INVALID_ARGUMENT for a group that no node or no client would take. */
export function checkGroup(group: RlnGroup): RlnGroup {
  if (typeof group !== "object" || group === null || !Array.isArray(group.members))
    throw invalid("group", "must be what parseRlnGroup makes of the content of group.json");
  checkSize("group.rlnIdentifier", group.rlnIdentifier, "parseRlnGroup");
  checkRange("group.epochSeconds", group.epochSeconds, 1, MAX_EPOCH_SECONDS);
  checkRange("group.members.length", group.members.length, 1, MAX_MEMBERS);
  const seen = new Map<string, number>();
  for (const [index, member] of group.members.entries()) {
    const where = `group.members[${index}]`;
    checkSize(`${where}.identityCommitment`, member?.identityCommitment, "parseRlnGroup");
    checkRange(`${where}.userMessageLimit`, member.userMessageLimit, 1, MAX_MESSAGE_LIMIT);
    const other = seen.get(bytesToHex(member.identityCommitment));
    if (other !== undefined)
      throw invalid(
        `${where}.identityCommitment`,
        `is that of member ${other}; give each member an identity of his own`,
      );
    seen.set(bytesToHex(member.identityCommitment), index);
  }
  return group;
}

/** Throws INVALID_ARGUMENT for credentials that are not those of a member. Whether the secret fits, the prover finds out. */
export function checkCredentials(credentials: RlnCredentials, group: RlnGroup): void {
  if (typeof credentials !== "object" || credentials === null)
    throw invalid("credentials", "must be what parseRlnCredentials makes of the content of member-N.json");
  for (const name of ["rlnIdentifier", "identityCommitment", "identitySecret"] as const)
    checkSize(`credentials.${name}`, credentials[name], "parseRlnCredentials");
  const { leafIndex, userMessageLimit } = credentials;
  const anotherGroup = "is not the group's; give the credentials that were made with this group, or the group of these";
  if (bytesToHex(credentials.rlnIdentifier) !== bytesToHex(group.rlnIdentifier))
    throw invalid("credentials.rlnIdentifier", anotherGroup);
  const member = group.members[leafIndex];
  if (!member) throw invalid("credentials.leafIndex", anotherGroup);
  if (bytesToHex(credentials.identityCommitment) !== bytesToHex(member.identityCommitment))
    throw invalid("credentials.identityCommitment", anotherGroup);
  if (userMessageLimit !== member.userMessageLimit)
    throw invalid(
      "credentials.userMessageLimit",
      `is ${userMessageLimit}, in the group ${member.userMessageLimit}; if the group has changed, give the credentials once more, with its limit`,
    );
}

export function invalid(field: string, problem: string): ChatError {
  return new ChatError(ErrorCode.INVALID_ARGUMENT, `rln.${field}: ${problem}`);
}

function readObject(json: string, what: File): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The parser's own error quotes the text.
    throw invalid(what, `is no JSON; ${REMEDY[what]}`);
  }
  if (typeof value !== "object" || value === null) throw invalid(what, `must be a JSON object; ${REMEDY[what]}`);
  const fields = value as Record<string, unknown>;
  if (fields["version"] !== FILE_VERSION)
    throw invalid(`${what}.version`, `must be ${FILE_VERSION}; make the files anew, or update the SDK`);
  return fields;
}

/** Where a field is: in a file or, with what follows, in a part of it. */
type Where = File | `group.${string}`;

const remedyAt = (where: Where): string => (where === "credentials" ? REMEDY.credentials : REMEDY.group);

function bytes(fields: Record<string, unknown>, name: string, where: Where): Uint8Array {
  const hex = fields[name];
  if (typeof hex !== "string" || !/^[0-9a-f]{64}$/i.test(hex))
    throw invalid(`${where}.${name}`, `must be 64 hex digits; ${remedyAt(where)}`);
  return new Uint8Array(Buffer.from(hex, "hex"));
}

function integer(fields: Record<string, unknown>, name: string, where: Where): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value)) throw invalid(`${where}.${name}`, `must be a whole number; ${remedyAt(where)}`);
  return value as number;
}

function checkSize(field: string, value: unknown, parser: string): void {
  if (value instanceof Uint8Array && value.length === 32) return;
  throw invalid(field, `must be 32 bytes; use what ${parser} returns`);
}

function checkRange(field: string, value: number, smallest: number, largest: number): void {
  if (Number.isSafeInteger(value) && value >= smallest && value <= largest) return;
  const given = typeof value === "number" ? value : typeof value;
  throw invalid(
    field,
    `must be a whole number from ${smallest} to ${largest}, not ${given}; make the group anew with such a one`,
  );
}
