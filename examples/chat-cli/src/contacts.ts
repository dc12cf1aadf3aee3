import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { ContentType, type Conversation } from "@chatsdk/client";
import { cleanLine } from "./clean.ts";

interface Names {
  /** Given by our user. */
  given?: string;
  /** What the peer calls itself. */
  introduced?: string;
}

/** A content type of this program: what its user wants to be called. Sent once in each conversation. */
export const Introduction = new ContentType<{ name: string }>({
  domain: 0x74_65_72_6d,
  tag: 1,
  version: 1,
  encode: ({ name }) => new TextEncoder().encode(name),
  decode: (payload) => ({ name: cleanLine(new TextDecoder().decode(payload)).slice(0, 24) }),
});

/**
 * What peers are called, by identity key. In a small file beside the database and, unlike that, in clear: the SDK has no place for an
 * application's own records.
 */
export class Contacts {
  readonly #file: string;
  readonly #names: Record<string, Names>;

  constructor(file: string) {
    this.#file = file;
    this.#names = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record<string, Names>) : {};
  }

  isNamed(conversation: Conversation): boolean {
    const names = this.#names[keyOf(conversation)];
    return (names?.given ?? names?.introduced) !== undefined;
  }

  /** The name our user gave; else the peer's own choice, which anybody can make, hence the "~"; else its fingerprint. */
  name(conversation: Conversation): string {
    const { given, introduced } = this.#names[keyOf(conversation)] ?? {};
    return given ?? (introduced ? `~${introduced}` : fingerprint(conversation.peerIdentityKey).slice(0, 9));
  }

  rename(conversation: Conversation, given: string): void {
    this.#put(conversation, { given });
  }

  introduce(conversation: Conversation, introduced: string): void {
    this.#put(conversation, { introduced });
  }

  forget(conversation: Conversation): void {
    delete this.#names[keyOf(conversation)];
    this.#save();
  }

  #put(conversation: Conversation, names: Names): void {
    const key = keyOf(conversation);
    this.#names[key] = { ...this.#names[key], ...names };
    this.#save();
  }

  #save(): void {
    const draft = `${this.#file}.new`;
    writeFileSync(draft, `${JSON.stringify(this.#names, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, this.#file);
  }
}

function keyOf({ peerIdentityKey }: Conversation): string {
  return Buffer.from(peerIdentityKey).toString("hex");
}

/** The beginning of an identity key, to tell peers apart; safety numbers are what proves an identity. */
export function fingerprint(identityKey: Uint8Array): string {
  const hex = Buffer.from(identityKey.subarray(0, 8)).toString("hex");
  return hex.replace(/.{4}(?=.)/g, "$& ");
}
