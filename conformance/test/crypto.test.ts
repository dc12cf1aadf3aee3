import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type Crypto, nobleCrypto } from "@chatsdk/core";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";

const providers: [string, Crypto][] = [
  ["noble", nobleCrypto],
  ["node", nodeCrypto],
];
const comparedWithNoble = providers.filter(([name]) => name !== "noble");

const slow = 60_000;

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(providers)("Wycheproof, %s", (name, crypto) => {
  // "acceptable": RFC 7748 lets an implementation refuse these keys. We take keys on the twist and non-canonical
  // coordinates, as section 5 demands, and refuse exactly the all-zero secrets of section 6.1.
  test(`F3 X25519 Wycheproof (${name})`, { timeout: slow }, () => {
    type Vector = { public: string; private: string; shared: string };
    everyVector<Vector>("x25519_test", name, (vector) => {
      const shared = crypto.x25519(bytes(vector.private), bytes(vector.public));
      if (!vector.flags.includes("ZeroSharedSecret")) return shared !== undefined && hex(shared) === vector.shared;
      return vector.result === "acceptable" && shared === undefined;
    });
  });

  test(`F3 Ed25519 Wycheproof (${name})`, { timeout: slow }, () => {
    type Group = { publicKey: { pk: string } };
    type Vector = { msg: string; sig: string };
    everyVector<Vector, Group>("ed25519_test", name, (vector, group) => {
      const accepted = crypto.ed25519Verify(bytes(group.publicKey.pk), bytes(vector.msg), bytes(vector.sig));
      return accepted === (vector.result === "valid");
    });
  });

  test(`F3 ChaCha20-Poly1305 Wycheproof (${name})`, { timeout: slow }, () => {
    everyVector<AeadVector>("chacha20_poly1305_test", name, (vector) =>
      behavesAsAead(crypto.aeadSeal, crypto.aeadOpen, vector),
    );
  });

  test(`F3 XChaCha20-Poly1305 Wycheproof (${name})`, { timeout: slow }, () => {
    everyVector<AeadVector>("xchacha20_poly1305_test", name, (vector) =>
      behavesAsAead(crypto.xaeadSeal, crypto.xaeadOpen, vector),
    );
  });

  test(`F3 HKDF-SHA-256 Wycheproof (${name})`, { timeout: slow }, () => {
    type Vector = { ikm: string; salt: string; info: string; size: number; okm: string };
    everyVector<Vector>("hkdf_sha256_test", name, (vector) => {
      const output = outcome(() =>
        crypto.hkdfSha256(bytes(vector.ikm), bytes(vector.salt), bytes(vector.info), vector.size),
      );
      return vector.result === "valid" ? isHex(output, vector.okm) : output === "RangeError";
    });
  });

  // Half the groups hold tags cut to 16 bytes.
  test(`F3 HMAC-SHA-256 Wycheproof (${name})`, { timeout: slow }, () => {
    type Group = { tagSize: number };
    type Vector = { key: string; msg: string; tag: string };
    everyVector<Vector, Group>("hmac_sha256_test", name, (vector, group) => {
      const tag = hex(crypto.hmacSha256(bytes(vector.key), bytes(vector.msg)).subarray(0, group.tagSize / 8));
      return (tag === vector.tag) === (vector.result === "valid");
    });
  });

  // The expanded decapsulation key, `dk`, never leaves a provider: keys are kept as seeds.
  test(`F3 ML-KEM-768 key generation Wycheproof (${name})`, { timeout: slow }, () => {
    type Vector = { seed: string; ek: string };
    everyVector<Vector>("mlkem_768_keygen_seed_test", name, (vector) => {
      const publicKey = outcome(() => crypto.mlKem768PublicKey(bytes(vector.seed)));
      return vector.result === "valid" && isHex(publicKey, vector.ek);
    });
  });

  test(`F3 ML-KEM-768 encapsulation Wycheproof (${name})`, { timeout: slow }, () => {
    type Vector = { m: string; ek: string; c: string; K: string };
    everyVector<Vector>("mlkem_768_encaps_test", name, (vector) => {
      const result = outcome(() => crypto.mlKem768Encapsulate(bytes(vector.ek), bytes(vector.m)));
      if (vector.result === "invalid")
        return hasLength(vector.ek, 1184) && hasLength(vector.m, 32) ? result === undefined : result === "RangeError";
      return typeof result === "object" && isHex(result.ciphertext, vector.c) && isHex(result.sharedSecret, vector.K);
    });
  });

  test(`F3 ML-KEM-768 decapsulation Wycheproof (${name})`, { timeout: slow }, () => {
    type Vector = { seed: string; ek?: string; c: string; K: string };
    everyVector<Vector>("mlkem_768_test", name, (vector) => {
      const sharedSecret = outcome(() => crypto.mlKem768Decapsulate(bytes(vector.seed), bytes(vector.c)));
      if (vector.result === "invalid") return sharedSecret === "RangeError";
      const publicKey = outcome(() => crypto.mlKem768PublicKey(bytes(vector.seed)));
      return isHex(sharedSecret, vector.K) && (vector.ek === undefined || isHex(publicKey, vector.ek));
    });
  });
});

describe.each(providers)("RFC vectors, %s", (name, crypto) => {
  const vectors = readJson("rfc.json") as Record<string, { tests: Record<string, string | number>[] }>;

  /** Every test of one section, after a check that there are as many as the RFC has. */
  function section<Vector>(key: string, count: number): Vector[] {
    const tests = vectors[key]?.tests ?? [];
    expect(tests).toHaveLength(count);
    return tests as Vector[];
  }

  test(`F3 SHA-256 RFC 6234 (${name})`, () => {
    type Vector = { message: string; digest: string };
    for (const vector of section<Vector>("sha256", 3))
      expect(hex(crypto.sha256(bytes(vector.message)))).toBe(vector.digest);
  });

  test(`F3 HMAC-SHA-256 RFC 4231 (${name})`, () => {
    type Vector = { key: string; message: string; tag: string };
    for (const vector of section<Vector>("hmacSha256", 7)) {
      const tag = hex(crypto.hmacSha256(bytes(vector.key), bytes(vector.message)));
      expect(tag.slice(0, vector.tag.length)).toBe(vector.tag);
    }
  });

  test(`F3 HKDF-SHA-256 RFC 5869 (${name})`, () => {
    type Vector = { inputKeyMaterial: string; salt: string; info: string; length: number; output: string };
    for (const vector of section<Vector>("hkdfSha256", 3)) {
      const [inputKeyMaterial, salt, info] = [bytes(vector.inputKeyMaterial), bytes(vector.salt), bytes(vector.info)];
      expect(hex(crypto.hkdfSha256(inputKeyMaterial, salt, info, vector.length))).toBe(vector.output);
    }
  });

  test(`F3 X25519 RFC 7748 (${name})`, () => {
    type Vector = { secretKey: string; publicKey: string; sharedSecret: string };
    for (const vector of section<Vector>("x25519", 2))
      expect(hex(crypto.x25519(bytes(vector.secretKey), bytes(vector.publicKey)))).toBe(vector.sharedSecret);
  });

  test(`F3 X25519 RFC 7748 iterated (${name})`, { timeout: slow }, () => {
    type Vector = { iterations: number; result: string };
    for (const vector of section<Vector>("x25519Iterated", 2)) {
      let scalar = Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 9 : 0));
      let coordinate = scalar;
      for (let iteration = 0; iteration < vector.iterations; iteration += 1)
        [scalar, coordinate] = [crypto.x25519(scalar, coordinate) as Uint8Array<ArrayBuffer>, scalar];
      expect(hex(scalar)).toBe(vector.result);
    }
  });

  test(`F3 X25519 RFC 7748 key agreement (${name})`, () => {
    type Vector = Record<"secretKeyA" | "publicKeyA" | "secretKeyB" | "publicKeyB" | "sharedSecret", string>;
    for (const vector of section<Vector>("x25519KeyAgreement", 1)) {
      expect(hex(crypto.x25519PublicKey(bytes(vector.secretKeyA)))).toBe(vector.publicKeyA);
      expect(hex(crypto.x25519PublicKey(bytes(vector.secretKeyB)))).toBe(vector.publicKeyB);
      expect(hex(crypto.x25519(bytes(vector.secretKeyA), bytes(vector.publicKeyB)))).toBe(vector.sharedSecret);
      expect(hex(crypto.x25519(bytes(vector.secretKeyB), bytes(vector.publicKeyA)))).toBe(vector.sharedSecret);
    }
  });

  test(`F3 Ed25519 RFC 8032 (${name})`, () => {
    type Vector = { seed: string; publicKey: string; message: string; signature: string };
    for (const vector of section<Vector>("ed25519", 3)) {
      const [seed, publicKey, message] = [bytes(vector.seed), bytes(vector.publicKey), bytes(vector.message)];
      expect(hex(crypto.ed25519PublicKey(seed))).toBe(vector.publicKey);
      expect(hex(crypto.ed25519Sign(seed, message))).toBe(vector.signature);
      expect(crypto.ed25519Verify(publicKey, message, bytes(vector.signature))).toBe(true);
    }
  });

  test(`F3 Ed25519 to X25519 libsodium (${name})`, () => {
    type Vector = Record<"seed" | "ed25519PublicKey" | "x25519SecretKey" | "x25519PublicKey", string>;
    for (const vector of section<Vector>("ed25519ToX25519", 1)) {
      expect(hex(crypto.ed25519PublicKey(bytes(vector.seed)))).toBe(vector.ed25519PublicKey);
      expect(hex(crypto.ed25519SeedToX25519(bytes(vector.seed)))).toBe(vector.x25519SecretKey);
      expect(hex(crypto.ed25519PublicToX25519(bytes(vector.ed25519PublicKey)))).toBe(vector.x25519PublicKey);
    }
  });

  test(`F3 ChaCha20-Poly1305 RFC 8439 (${name})`, () => {
    for (const vector of section<RfcAeadVector>("chaCha20Poly1305", 1)) {
      const [key, nonce, plaintext, associatedData] = aeadInput(vector);
      const sealed = crypto.aeadSeal(key, nonce, plaintext, associatedData);
      expect(hex(sealed)).toBe(vector.ciphertext + vector.tag);
      expect(crypto.aeadOpen(key, nonce, sealed, associatedData)).toStrictEqual(plaintext);
    }
  });

  test(`F3 XChaCha20-Poly1305 draft-irtf-cfrg-xchacha-03 (${name})`, () => {
    for (const vector of section<RfcAeadVector>("xChaCha20Poly1305", 1)) {
      const [key, nonce, plaintext, associatedData] = aeadInput(vector);
      const sealed = crypto.xaeadSeal(key, nonce, plaintext, associatedData);
      expect(hex(sealed)).toBe(vector.ciphertext + vector.tag);
      expect(crypto.xaeadOpen(key, nonce, sealed, associatedData)).toStrictEqual(plaintext);
    }
  });
});

type Edge = Record<"name" | "publicKey" | "message" | "signature", string> &
  Record<"cofactored" | "cofactorless" | "valid", boolean>;
const edges = readJson("ed25519-edges.json") as { numberOfTests: number; tests: Edge[] };
const edgesNamed = (name: RegExp) => edges.tests.filter((edge) => name.test(edge.name));

test("F3 Ed25519 edges hold signatures that laxer rules accept", () => {
  expect(edges.tests).toHaveLength(edges.numberOfTests);
  expect(edges.tests.filter((edge) => edge.valid).length).toBeGreaterThan(0);
  expect(edges.tests.filter((edge) => edge.cofactorless && !edge.valid).length).toBeGreaterThan(0);
  expect(edges.tests.filter((edge) => edge.cofactored && !edge.cofactorless).length).toBeGreaterThan(0);
});

describe.each(providers)("edges, %s", (name, crypto) => {
  test(`F3 Ed25519 strict verification (${name})`, { timeout: slow }, () => {
    const verdicts = edges.tests.map((edge) => [
      edge.name,
      crypto.ed25519Verify(bytes(edge.publicKey), bytes(edge.message), bytes(edge.signature)),
    ]);
    expect(verdicts).toStrictEqual(edges.tests.map((edge) => [edge.name, edge.valid]));
    console.info(`ed25519-edges (${name}): ${verdicts.length} of ${edges.numberOfTests} vectors`);
  });

  test(`F3 Ed25519 verification of wrong lengths is false (${name})`, () => {
    const [honest] = edgesNamed(/^honest$/).map((edge) => ({
      publicKey: bytes(edge.publicKey),
      message: bytes(edge.message),
      signature: bytes(edge.signature),
    }));
    if (honest === undefined) throw new Error("no honest vector");
    const { publicKey, message, signature } = honest;
    expect(crypto.ed25519Verify(publicKey, message, signature)).toBe(true);
    for (const length of [0, 31, 33, 64]) {
      const other = resized(publicKey, length);
      expect(crypto.ed25519Verify(other, message, signature)).toBe(false);
    }
    for (const length of [0, 32, 63, 65]) {
      const other = resized(signature, length);
      expect(crypto.ed25519Verify(publicKey, message, other)).toBe(false);
    }
  });

  test(`F3 Ed25519 keys of small order, of lax encoding or off the curve have no X25519 form (${name})`, () => {
    const refused = edgesNamed(/^key (of small order|encoded|is no point)/);
    expect(refused.length).toBeGreaterThan(30);
    for (const edge of refused)
      expect([edge.name, crypto.ed25519PublicToX25519(bytes(edge.publicKey))]).toStrictEqual([edge.name, undefined]);
    for (const edge of edgesNamed(/^honest|^key of mixed order/))
      expect([edge.name, crypto.ed25519PublicToX25519(bytes(edge.publicKey))?.length]).toStrictEqual([edge.name, 32]);
  });

  test(`F3 X25519 with a low-order key is undefined (${name})`, () => {
    for (const publicKey of lowOrderCoordinates)
      expect([hex(publicKey), crypto.x25519(new Uint8Array(32).fill(7), publicKey)]).toStrictEqual([
        hex(publicKey),
        undefined,
      ]);
  });

  test(`F3 X25519 reduces coordinates and ignores their top bit (${name})`, () => {
    const secretKey = new Uint8Array(32).fill(7);
    const base = Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 9 : 0));
    const expected = crypto.x25519PublicKey(secretKey);
    for (const publicKey of [base, withTopBit(base), nonCanonical(9), withTopBit(nonCanonical(9))])
      expect(crypto.x25519(secretKey, publicKey)).toStrictEqual(expected);
  });

  test(`F3 ciphertext shorter than a tag does not open (${name})`, () => {
    const key = new Uint8Array(32);
    for (const length of [0, 1, 15]) {
      expect(crypto.aeadOpen(key, new Uint8Array(12), new Uint8Array(length), new Uint8Array())).toBeUndefined();
      expect(crypto.xaeadOpen(key, new Uint8Array(24), new Uint8Array(length), new Uint8Array())).toBeUndefined();
    }
  });

  test(`F3 wrong lengths throw a RangeError (${name})`, () => {
    const empty = new Uint8Array();
    const calls: [string, number, (argument: Uint8Array) => unknown][] = [
      ["x25519PublicKey", 32, (secretKey) => crypto.x25519PublicKey(secretKey)],
      ["x25519 secret", 32, (secretKey) => crypto.x25519(secretKey, new Uint8Array(32).fill(9))],
      ["x25519 public", 32, (publicKey) => crypto.x25519(new Uint8Array(32), publicKey)],
      ["ed25519PublicKey", 32, (seed) => crypto.ed25519PublicKey(seed)],
      ["ed25519Sign", 32, (seed) => crypto.ed25519Sign(seed, empty)],
      ["ed25519PublicToX25519", 32, (publicKey) => crypto.ed25519PublicToX25519(publicKey)],
      ["ed25519SeedToX25519", 32, (seed) => crypto.ed25519SeedToX25519(seed)],
      ["aeadSeal key", 32, (key) => crypto.aeadSeal(key, new Uint8Array(12), empty, empty)],
      ["aeadSeal nonce", 12, (nonce) => crypto.aeadSeal(new Uint8Array(32), nonce, empty, empty)],
      ["aeadOpen key", 32, (key) => crypto.aeadOpen(key, new Uint8Array(12), new Uint8Array(16), empty)],
      ["aeadOpen nonce", 12, (nonce) => crypto.aeadOpen(new Uint8Array(32), nonce, new Uint8Array(16), empty)],
      ["xaeadSeal key", 32, (key) => crypto.xaeadSeal(key, new Uint8Array(24), empty, empty)],
      ["xaeadSeal nonce", 24, (nonce) => crypto.xaeadSeal(new Uint8Array(32), nonce, empty, empty)],
      ["xaeadOpen key", 32, (key) => crypto.xaeadOpen(key, new Uint8Array(24), new Uint8Array(16), empty)],
      ["xaeadOpen nonce", 24, (nonce) => crypto.xaeadOpen(new Uint8Array(32), nonce, new Uint8Array(16), empty)],
      ["mlKem768PublicKey", 64, (seed) => crypto.mlKem768PublicKey(seed)],
      ["mlKem768Encapsulate key", 1184, (key) => crypto.mlKem768Encapsulate(key, new Uint8Array(32))],
      ["mlKem768Encapsulate entropy", 32, (entropy) => crypto.mlKem768Encapsulate(new Uint8Array(1184), entropy)],
      ["mlKem768Decapsulate seed", 64, (seed) => crypto.mlKem768Decapsulate(seed, new Uint8Array(1088))],
      ["mlKem768Decapsulate ciphertext", 1088, (text) => crypto.mlKem768Decapsulate(new Uint8Array(64), text)],
    ];
    for (const [call, length, run] of calls) {
      expect([call, outcome(() => run(new Uint8Array(length).fill(9)))]).not.toStrictEqual([call, "RangeError"]);
      for (const wrong of [0, length - 1, length + 1])
        expect([call, wrong, outcome(() => run(new Uint8Array(wrong)))]).toStrictEqual([call, wrong, "RangeError"]);
    }
    for (const length of [-1, 8161, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect([length, outcome(() => crypto.hkdfSha256(empty, empty, empty, length))]).toStrictEqual([
        length,
        "RangeError",
      ]);
  });

  test(`F3 arguments stay as they were (${name})`, () => {
    const filled = (length: number) => new Uint8Array(length).fill(length);
    const [seed, kemSeed, nonce, longNonce, message] = [filled(32), filled(64), filled(12), filled(24), filled(100)];
    const [sealed, longSealed] = [
      crypto.aeadSeal(seed, nonce, message, message),
      crypto.xaeadSeal(seed, longNonce, message, message),
    ];
    const publicKey = crypto.mlKem768PublicKey(kemSeed);
    const encapsulated = crypto.mlKem768Encapsulate(publicKey, seed);
    if (encapsulated === undefined) throw new Error("an honest key was refused");
    const inputs = [seed, kemSeed, nonce, longNonce, message, sealed, longSealed, publicKey, encapsulated.ciphertext];
    const before = inputs.map(hex);
    crypto.hmacSha256(seed, message);
    crypto.hkdfSha256(seed, seed, message, 64);
    crypto.x25519(seed, crypto.x25519PublicKey(seed));
    crypto.ed25519Verify(crypto.ed25519PublicKey(seed), message, crypto.ed25519Sign(seed, message));
    crypto.ed25519SeedToX25519(seed);
    crypto.aeadOpen(seed, nonce, sealed, message);
    crypto.aeadOpen(seed, nonce, sealed, nonce);
    crypto.xaeadOpen(seed, longNonce, longSealed, message);
    crypto.mlKem768Decapsulate(kemSeed, encapsulated.ciphertext);
    expect(inputs.map(hex)).toStrictEqual(before);
  });
});

describe("host randomness", () => {
  const seed = new Uint8Array(32).fill(3);
  const kemSeed = new Uint8Array(64).fill(4);

  // noble blinds secret multiplications of the base point with it; that must never reach a result.
  test("F3 results are the same whatever the host random source gives (noble)", () => {
    const compute = () => [nobleCrypto.x25519PublicKey(seed), nobleCrypto.ed25519Sign(seed, kemSeed)];
    const expected = [nodeCrypto.x25519PublicKey(seed), nodeCrypto.ed25519Sign(seed, kemSeed)];
    for (const byte of [0x00, 0xff]) {
      spyOnRandomSource((target) => target.fill(byte));
      expect(compute()).toStrictEqual(expected);
    }
  });

  test("F3 nothing else draws from the host random source (noble)", () => {
    const publicKey = nobleCrypto.x25519PublicKey(seed);
    const signature = nobleCrypto.ed25519Sign(seed, kemSeed);
    const signer = nobleCrypto.ed25519PublicKey(seed);
    const source = spyOnRandomSource((target) => target);
    nobleCrypto.x25519(seed, publicKey);
    nobleCrypto.ed25519Verify(signer, kemSeed, signature);
    nobleCrypto.ed25519PublicToX25519(signer);
    nobleCrypto.ed25519SeedToX25519(seed);
    nobleCrypto.hkdfSha256(seed, seed, seed, 64);
    nobleCrypto.aeadSeal(seed, new Uint8Array(12), seed, seed);
    nobleCrypto.xaeadSeal(seed, new Uint8Array(24), seed, seed);
    const encapsulated = nobleCrypto.mlKem768Encapsulate(nobleCrypto.mlKem768PublicKey(kemSeed), seed);
    nobleCrypto.mlKem768Decapsulate(kemSeed, encapsulated?.ciphertext ?? new Uint8Array(1088));
    expect(source).not.toHaveBeenCalled();
  });
});

describe.each(comparedWithNoble)("agreement, %s", (name, crypto) => {
  /** The same value, `undefined` or RangeError from both; any other exception fails. */
  function agree(call: (provider: Crypto) => unknown): void {
    expect(outcome(() => call(crypto))).toStrictEqual(outcome(() => call(nobleCrypto)));
  }

  const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  /** Mostly the right length, sometimes any other. */
  const about = (length: number) =>
    fc.oneof({ weight: 9, arbitrary: exactly(length) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 70 }) });
  const text = fc.uint8Array({ maxLength: 600 });
  const coordinate = fc.oneof(
    { weight: 4, arbitrary: about(32) },
    { weight: 2, arbitrary: exactly(32).map(withTopBit) },
    { weight: 2, arbitrary: fc.constantFrom(...lowOrderCoordinates) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 18 }).map(nonCanonical) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 18 }).map((value) => withTopBit(nonCanonical(value))) },
  );
  const edgeKey = fc.constantFrom(...edges.tests.map((edge) => bytes(edge.publicKey)));
  const edgeR = fc.constantFrom(...edges.tests.map((edge) => bytes(edge.signature.slice(0, 64))));

  test(`F3 SHA-256 and HMAC-SHA-256 agree with noble (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), text, (key, data) => {
        agree((provider) => provider.sha256(data));
        agree((provider) => provider.hmacSha256(key, data));
      }),
      { numRuns: 500 },
    );
  });

  test(`F3 HKDF-SHA-256 agrees with noble (${name})`, { timeout: slow }, () => {
    const info = fc.oneof(text, fc.integer({ min: 1020, max: 1030 }).chain(exactly));
    const length = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: -1, max: 8200 }));
    fc.assert(
      fc.property(text, text, info, length, (inputKeyMaterial, salt, information, outputLength) => {
        agree((provider) => provider.hkdfSha256(inputKeyMaterial, salt, information, outputLength));
      }),
      {
        numRuns: 500,
        examples: [
          [new Uint8Array(), new Uint8Array(), new Uint8Array(), 0],
          [new Uint8Array(), new Uint8Array(), new Uint8Array(1025), 32],
        ],
      },
    );
  });

  test(`F3 X25519 agrees with noble (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(about(32), coordinate, (secretKey, publicKey) => {
        agree((provider) => provider.x25519PublicKey(secretKey));
        agree((provider) => provider.x25519(secretKey, publicKey));
      }),
      { numRuns: 500 },
    );
  });

  test(`F3 Ed25519 signing agrees with noble, and both verify (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(about(32), text, (seed, message) => {
        agree((provider) => provider.ed25519PublicKey(seed));
        agree((provider) => provider.ed25519Sign(seed, message));
        if (seed.length !== 32) return;
        const [publicKey, signature] = [crypto.ed25519PublicKey(seed), crypto.ed25519Sign(seed, message)];
        expect(crypto.ed25519Verify(publicKey, message, signature)).toBe(true);
        expect(nobleCrypto.ed25519Verify(publicKey, message, signature)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test(`F3 Ed25519 refuses any flipped bit, as noble does (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(
        exactly(32),
        text,
        fc.nat(),
        fc.constantFrom("key", "message", "signature"),
        (seed, message, bit, part) => {
          const publicKey = crypto.ed25519PublicKey(seed);
          const signature = crypto.ed25519Sign(seed, message);
          fc.pre(part !== "message" || message.length > 0);
          const key = part === "key" ? flipped(publicKey, bit) : publicKey;
          const data = part === "message" ? flipped(message, bit) : message;
          const signed = part === "signature" ? flipped(signature, bit) : signature;
          expect(crypto.ed25519Verify(key, data, signed)).toBe(false);
          expect(nobleCrypto.ed25519Verify(key, data, signed)).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`F3 Ed25519 verification of malformed input agrees with noble (${name})`, { timeout: slow }, () => {
    const key = fc.oneof(about(32), exactly(32).map(withTopBit), edgeKey);
    const signature = fc.oneof(
      about(64),
      fc.tuple(fc.oneof(exactly(32), edgeR), exactly(32)).map(([r, s]) => Uint8Array.from([...r, ...s])),
    );
    fc.assert(
      fc.property(key, text, signature, (publicKey, message, signed) => {
        agree((provider) => provider.ed25519Verify(publicKey, message, signed));
      }),
      { numRuns: 500 },
    );
  });

  test(`F3 Ed25519 to X25519 agrees with noble and keeps key pairs together (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(exactly(32), fc.oneof(about(32), edgeKey), (seed, anyKey) => {
        agree((provider) => provider.ed25519SeedToX25519(seed));
        agree((provider) => provider.ed25519PublicToX25519(anyKey));
        const secretKey = crypto.ed25519SeedToX25519(seed);
        const publicKey = crypto.ed25519PublicToX25519(crypto.ed25519PublicKey(seed));
        expect(publicKey).toStrictEqual(crypto.x25519PublicKey(secretKey));
      }),
      { numRuns: 100 },
    );
  });

  test(`F3 AEADs agree with noble, open what they sealed and nothing else (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(
        about(32),
        about(12),
        about(24),
        text,
        text,
        fc.nat(),
        (key, nonce, longNonce, plaintext, data, bit) => {
          agree((provider) => provider.aeadSeal(key, nonce, plaintext, data));
          agree((provider) => provider.xaeadSeal(key, longNonce, plaintext, data));
          agree((provider) => provider.aeadOpen(key, nonce, plaintext, data));
          agree((provider) => provider.xaeadOpen(key, longNonce, plaintext, data));
          if (key.length !== 32) return;
          if (nonce.length === 12) {
            const sealed = crypto.aeadSeal(key, nonce, plaintext, data);
            for (const provider of [crypto, nobleCrypto]) {
              expect(provider.aeadOpen(key, nonce, sealed, data)).toStrictEqual(plaintext);
              expect(provider.aeadOpen(key, nonce, flipped(sealed, bit), data)).toBeUndefined();
              expect(provider.aeadOpen(key, nonce, sealed, Uint8Array.from([...data, 0]))).toBeUndefined();
            }
          }
          if (longNonce.length === 24) {
            const sealed = crypto.xaeadSeal(key, longNonce, plaintext, data);
            expect(crypto.xaeadOpen(key, longNonce, sealed, data)).toStrictEqual(plaintext);
            expect(crypto.xaeadOpen(key, longNonce, flipped(sealed, bit), data)).toBeUndefined();
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`F3 ML-KEM-768 agrees with noble and both ends share the secret (${name})`, { timeout: slow }, () => {
    fc.assert(
      fc.property(exactly(64), exactly(32), exactly(1088), fc.nat(), (seed, entropy, noise, bit) => {
        agree((provider) => provider.mlKem768PublicKey(seed));
        const publicKey = nobleCrypto.mlKem768PublicKey(seed);
        agree((provider) => provider.mlKem768Encapsulate(publicKey, entropy));
        agree((provider) => provider.mlKem768Encapsulate(flipped(publicKey, bit), entropy));
        agree((provider) => provider.mlKem768Decapsulate(seed, noise));
        const encapsulated = crypto.mlKem768Encapsulate(publicKey, entropy);
        if (encapsulated === undefined) throw new Error("an honest key was refused");
        const { ciphertext, sharedSecret } = encapsulated;
        expect(crypto.mlKem768Decapsulate(seed, ciphertext)).toStrictEqual(sharedSecret);
        expect(crypto.mlKem768Decapsulate(seed, flipped(ciphertext, bit))).not.toStrictEqual(sharedSecret);
      }),
      { numRuns: 40 },
    );
  });
});

type Verdict = { tcId: number; result: "valid" | "invalid" | "acceptable"; flags: string[] };
type AeadVector = Record<"key" | "iv" | "aad" | "msg" | "ct" | "tag", string>;
type RfcAeadVector = Record<"key" | "nonce" | "plaintext" | "associatedData" | "ciphertext" | "tag", string>;

/** Runs a check on every vector of a Wycheproof file; no vector may fail it and none may be left out. */
function everyVector<Vector, Group = unknown>(
  file: string,
  provider: string,
  behaves: (vector: Vector & Verdict, group: Group) => boolean,
): void {
  type Groups = (Group & { tests: (Vector & Verdict)[] })[];
  const { numberOfTests, testGroups } = readCompressedJson(`wycheproof/${file}.json.gz`) as {
    numberOfTests: number;
    testGroups: Groups;
  };
  const checked = testGroups.flatMap((group) =>
    group.tests.map((vector) => ({
      tcId: vector.tcId,
      behaves: behaves({ ...vector, flags: vector.flags ?? [] }, group),
    })),
  );
  console.info(`${file} (${provider}): ${checked.length} of ${numberOfTests} vectors`);
  expect(checked.filter((vector) => !vector.behaves).map((vector) => vector.tcId)).toStrictEqual([]);
  expect(checked.length).toBeGreaterThan(0);
  expect(checked.length).toBe(numberOfTests);
}

/** Seals to the expected bytes and opens them; a modified tag does not open; a wrong nonce length is a RangeError. */
function behavesAsAead(seal: Crypto["aeadSeal"], open: Crypto["aeadOpen"], vector: AeadVector & Verdict): boolean {
  const [key, nonce, associatedData] = [bytes(vector.key), bytes(vector.iv), bytes(vector.aad)];
  const sealed = outcome(() => seal(key, nonce, bytes(vector.msg), associatedData));
  const opened = outcome(() => open(key, nonce, bytes(vector.ct + vector.tag), associatedData));
  if (vector.flags.includes("InvalidNonceSize")) return sealed === "RangeError" && opened === "RangeError";
  if (vector.result === "invalid") return opened === undefined && !isHex(sealed, vector.ct + vector.tag);
  return isHex(sealed, vector.ct + vector.tag) && isHex(opened, vector.msg);
}

function aeadInput(vector: RfcAeadVector): [Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  return [bytes(vector.key), bytes(vector.nonce), bytes(vector.plaintext), bytes(vector.associatedData)];
}

/** The value of a call, or that it threw a RangeError; any other exception is a fault and fails the test. */
function outcome<Value>(call: () => Value): Value | "RangeError" {
  try {
    return call();
  } catch (error) {
    if (error instanceof RangeError) return "RangeError";
    throw error;
  }
}

function spyOnRandomSource(give: (target: Uint8Array) => Uint8Array) {
  return vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation((target) => {
    give(target as unknown as Uint8Array);
    return target;
  });
}

/** The encodings of every u that X25519 sends to zero: canonical, reduced modulo p, and each with its top bit set. */
const lowOrderCoordinates = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((coordinate) => [bytes(coordinate), withTopBit(bytes(coordinate))]);

/** The encoding of p + value, for 0 to 18. */
function nonCanonical(value: number): Uint8Array<ArrayBuffer> {
  const encoded = new Uint8Array(32).fill(0xff);
  encoded.set([0xed + value]);
  encoded.set([0x7f], 31);
  return encoded;
}

function withTopBit(encoded: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(encoded, (byte, index) => (index === 31 ? byte | 0x80 : byte));
}

function flipped(original: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const target = bit % (original.length * 8);
  return Uint8Array.from(original, (byte, index) => (index === target >> 3 ? byte ^ (1 << (target & 7)) : byte));
}

function resized(original: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(length);
  other.set(original.subarray(0, length));
  return other;
}

function bytes(encoded: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(encoded, "hex"));
}

function hex(raw: Uint8Array | undefined): string {
  return Buffer.from(raw ?? []).toString("hex");
}

function isHex(value: unknown, expected: string): boolean {
  return value instanceof Uint8Array && hex(value) === expected;
}

function hasLength(encoded: string, length: number): boolean {
  return encoded.length === 2 * length;
}

function readVectors(file: string): Buffer {
  return readFileSync(new URL(`../vectors/${file}`, import.meta.url));
}

function readJson(file: string): unknown {
  return JSON.parse(readVectors(file).toString("utf8"));
}

function readCompressedJson(file: string): unknown {
  return JSON.parse(gunzipSync(readVectors(file)).toString("utf8"));
}
