import { nodeCrypto } from "@chatsdk/client";
import type { Crypto } from "@chatsdk/core";

interface Sealed {
  plaintext: Uint8Array;
  ciphertext: Uint8Array;
}

/** node:crypto, with a note of what a step sealed for the wire: nobody but the sender could say later what an envelope holds. */
export class ObservedCrypto {
  readonly crypto: Crypto;
  #sealed: Sealed[] = [];

  constructor() {
    this.crypto = {
      ...nodeCrypto,
      aeadSeal: (key, nonce, plaintext, associatedData) => {
        const ciphertext = nodeCrypto.aeadSeal(key, nonce, plaintext, associatedData);
        this.#sealed.push({ plaintext, ciphertext });
        return ciphertext;
      },
    };
  }

  /** A new step begins. */
  forget(): void {
    this.#sealed = [];
  }

  /** The padded plaintext of an envelope's body, if this step has sealed it: the body comes last. */
  bodyOf(envelope: Uint8Array): Uint8Array | undefined {
    const end = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.length);
    return this.#sealed.find(({ ciphertext }) => end.subarray(-ciphertext.length).equals(ciphertext))?.plaintext;
  }
}
