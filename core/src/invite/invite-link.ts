import { create } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { type IntroductionBundle, IntroductionBundleSchema, InviteLinkSchema } from "@chatsdk/abi/wire_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { concatBytes, equalBytes, utf8ToBytes } from "../bytes.ts";
import { checkLength, decode, encode } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { isLowOrder } from "../crypto/low-order.ts";
import { ChatError, Rejected } from "../errors.ts";
import { isContentTopic } from "./delivery-address.ts";

/** Names the format (INTRODUCTION-ENCODING, next version); also separates the signature from any other. */
export const INVITE_PREFIX = "logos_chatintro_2_";
/** So that a QR code of moderate size and every messenger carries it. */
export const MAX_INVITE_LENGTH = 300;

export interface DecodedInvite {
  bundle: IntroductionBundle;
  /** SHA-256 of the link's bytes: binds a set-up to this link. */
  hash: Uint8Array;
}

export function encodeInvite(
  crypto: Crypto,
  identitySeed: Uint8Array,
  bundle: IntroductionBundle,
): { link: string; hash: Uint8Array } {
  const encoded = encode(IntroductionBundleSchema, bundle);
  const signature = crypto.ed25519Sign(identitySeed, concatBytes(utf8ToBytes(INVITE_PREFIX), encoded));
  const bytes = encode(InviteLinkSchema, create(InviteLinkSchema, { bundle: encoded, signature }));
  return { link: INVITE_PREFIX + base64Encode(bytes, "url"), hash: crypto.sha256(bytes) };
}

/** Reads and verifies a link; surrounding white space is forgiven. Throws INVALID_INVITE or UNSUPPORTED_VERSION. */
export function decodeInvite(crypto: Crypto, text: string): DecodedInvite {
  const link = text.trim();
  if (!link.startsWith(INVITE_PREFIX)) {
    if (/^logos_chatintro_\d+_/.test(link)) {
      throw new ChatError(
        ErrorCode.UNSUPPORTED_VERSION,
        "link: made by another version of the protocol; update the SDK or ask for a version 2 link",
      );
    }
    throw invalid(`it does not start with "${INVITE_PREFIX}"`);
  }
  if (link.length > MAX_INVITE_LENGTH) throw invalid(`longer than ${MAX_INVITE_LENGTH} characters`);
  try {
    const bytes = base64Decode(link.slice(INVITE_PREFIX.length));
    if (base64Encode(bytes, "url") !== link.slice(INVITE_PREFIX.length)) throw new Rejected("not canonical base64url");
    return { bundle: verify(crypto, bytes), hash: crypto.sha256(bytes) };
  } catch (error) {
    throw invalid(error instanceof Rejected ? error.reason : "not base64url");
  }
}

function invalid(reason: string): ChatError {
  return new ChatError(ErrorCode.INVALID_INVITE, `link: ${reason}; ask for the link again`);
}

function verify(crypto: Crypto, bytes: Uint8Array): IntroductionBundle {
  const decoded = decode(InviteLinkSchema, bytes, "link");
  // The signature covers the bundle alone, a set-up is bound to all bytes: no others may pass.
  if (!equalBytes(encode(InviteLinkSchema, decoded), bytes)) throw new Rejected("not in its canonical encoding");
  const { bundle: encoded, signature } = decoded;
  const bundle = decode(IntroductionBundleSchema, encoded, "bundle");
  checkLength(bundle.identityKey, 32, "bundle.identity_key");
  checkLength(bundle.signedPrekey, 32, "bundle.signed_prekey");
  checkLength(signature, 64, "link.signature");
  if (!crypto.ed25519Verify(bundle.identityKey, concatBytes(utf8ToBytes(INVITE_PREFIX), encoded), signature)) {
    throw new Rejected("the signature does not verify");
  }
  if (isLowOrder(crypto, bundle.signedPrekey)) throw new Rejected("bundle.signed_prekey is of low order");
  if (!isContentTopic(bundle.deliveryAddress)) throw new Rejected("bundle.delivery_address is not a content topic");
  return bundle;
}
