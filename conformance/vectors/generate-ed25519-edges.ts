/**
 * Writes ed25519-edges.json: signatures on which Ed25519 verifiers disagree. The curve arithmetic below is RFC 8032
 * section 6 over BigInt, written apart from the libraries under test so that a shared fault cannot hide.
 * Run: node conformance/vectors/generate-ed25519-edges.ts
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";

type Point = { x: bigint; y: bigint };

const prime = 2n ** 255n - 19n;
const order = 2n ** 252n + 27742317777372353535851937790883648493n;

const modulo = (value: bigint, modulus = prime) => ((value % modulus) + modulus) % modulus;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = modulo(base), rest = exponent; rest > 0n; square = modulo(square * square), rest >>= 1n)
    if (rest & 1n) result = modulo(result * square);
  return result;
}

const invert = (value: bigint) => power(value, prime - 2n);
const d = modulo(-121665n * invert(121666n));
const identity: Point = { x: 0n, y: 1n };

function add(p: Point, q: Point): Point {
  const product = modulo(d * p.x * q.x * p.y * q.y);
  return {
    x: modulo((p.x * q.y + q.x * p.y) * invert(1n + product)),
    y: modulo((p.y * q.y + p.x * q.x) * invert(1n - product)),
  };
}

function multiply(point: Point, scalar: bigint): Point {
  let result = identity;
  for (let double = point, rest = scalar; rest > 0n; double = add(double, double), rest >>= 1n)
    if (rest & 1n) result = add(result, double);
  return result;
}

const negate = (p: Point): Point => ({ x: modulo(-p.x), y: p.y });
const equal = (p: Point, q: Point) => p.x === q.x && p.y === q.y;

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}

const number = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const encode = (p: Point) => littleEndian(p.y | ((p.x & 1n) << 255n));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const sha512 = (...parts: Uint8Array[]) => new Uint8Array(createHash("sha512").update(Buffer.concat(parts)).digest());

/** RFC 8032 section 5.1.3; `undefined` for no point. `canonical` adds the checks that many decoders leave out. */
function decode(bytes: Uint8Array, canonical: boolean): Point | undefined {
  const sign = number(bytes) >> 255n;
  const encoded = number(bytes) & (2n ** 255n - 1n);
  if (canonical && encoded >= prime) return undefined;
  const y = modulo(encoded);
  const square = modulo((y * y - 1n) * invert(d * y * y + 1n));
  let x = power(square, (prime + 3n) / 8n);
  if (modulo(x * x) !== square) x = modulo(x * power(2n, (prime - 1n) / 4n));
  if (modulo(x * x) !== square) return undefined;
  if (canonical && x === 0n && sign === 1n) return undefined;
  return { x: (x & 1n) === sign ? x : modulo(-x), y };
}

const base = decode(Uint8Array.from([0x58, ...Array(31).fill(0x66)]), true) as Point;

/** A point of order 8: an arbitrary curve point times the large prime order. */
function pointOfOrderEight(): Point {
  for (let y = 2n; ; y += 1n) {
    const point = decode(littleEndian(y), true);
    const torsion = point && multiply(point, order);
    if (torsion && !equal(multiply(torsion, 4n), identity)) return torsion;
  }
}

const torsion = pointOfOrderEight();
const smallOrder = Array.from({ length: 8 }, (_, multiple) => multiply(torsion, BigInt(multiple)));
const isSmallOrder = (p: Point) => smallOrder.some((small) => equal(small, p));

const seed = Uint8Array.from({ length: 32 }, (_, index) => index);
const seedHash = sha512(seed);
const secret = modulo((number(seedHash.subarray(0, 32)) & (2n ** 254n - 8n)) | (2n ** 254n), order);
const honestKey = multiply(base, secret);

const challenge = (r: Uint8Array, key: Uint8Array, message: Uint8Array) =>
  modulo(number(sha512(r, key, message)), order);

/** What each rule says: `cofactored` and `cofactorless` decode leniently, `valid` is the rule of this project. */
function judge(key: Uint8Array, message: Uint8Array, signature: Uint8Array) {
  const [encodedR, scalar] = [signature.subarray(0, 32), number(signature.subarray(32))];
  const [a, r] = [decode(key, false), decode(encodedR, false)];
  if (!a || !r) return { cofactored: false, cofactorless: false, valid: false };
  const recovered = add(multiply(base, scalar), negate(multiply(a, challenge(encodedR, key, message))));
  const cofactored = equal(multiply(recovered, 8n), multiply(r, 8n));
  const cofactorless = hex(encode(recovered)) === hex(encodedR);
  const canonical = decode(key, true) !== undefined && decode(encodedR, true) !== undefined && scalar < order;
  return { cofactored, cofactorless, valid: cofactorless && canonical && !isSmallOrder(a) && !isSmallOrder(r) };
}

type Edge = { name: string; publicKey: string; message: string; signature: string } & ReturnType<typeof judge>;
const edges: Edge[] = [];

/** Signs with the messages 0, 1, 2 ... until the verdict of the two equations is the wanted one. */
function record(
  name: string,
  key: Uint8Array,
  r: Uint8Array,
  scalarS: (challenge: bigint) => bigint,
  wanted: { cofactored?: boolean; cofactorless?: boolean; valid: boolean },
): void {
  for (let attempt = 0; attempt < 256; attempt += 1) {
    const message = Uint8Array.of(attempt);
    const signature = Uint8Array.from([...r, ...littleEndian(scalarS(challenge(r, key, message)))]);
    const verdict = judge(key, message, signature);
    if (Object.entries(wanted).some(([rule, value]) => verdict[rule as keyof typeof verdict] !== value)) continue;
    edges.push({ name, publicKey: hex(key), message: hex(message), signature: hex(signature), ...verdict });
    return;
  }
  throw new Error(`no message gives: ${name}`);
}

const nonce = 123456789n;
const honestR = multiply(base, nonce);
const honestS = (k: bigint) => modulo(nonce + k * secret, order);
const accepted = { cofactored: true, cofactorless: true, valid: true };
const laxOnly = { cofactored: true, cofactorless: true, valid: false };
const cofactoredOnly = { cofactored: true, cofactorless: false, valid: false };

record("honest", encode(honestKey), encode(honestR), honestS, accepted);
record("S + L", encode(honestKey), encode(honestR), (k) => honestS(k) + order, laxOnly);
record("S + 8 L", encode(honestKey), encode(honestR), (k) => honestS(k) + 8n * order, { valid: false });
record("S with its top bit set", encode(honestKey), encode(honestR), (k) => honestS(k) | (1n << 255n), {
  valid: false,
});
record("S negated", encode(honestKey), encode(honestR), (k) => modulo(-honestS(k), order), { valid: false });

smallOrder.forEach((key, multiple) => {
  record(`key of small order ${multiple}`, encode(key), encode(honestR), () => nonce, laxOnly);
  if (multiple === 0) return;
  record(`key of small order ${multiple}, cofactored`, encode(key), encode(honestR), () => nonce, cofactoredOnly);
  const mixed = add(honestKey, key);
  record(`key of mixed order ${multiple}`, encode(mixed), encode(honestR), honestS, accepted);
  record(`key of mixed order ${multiple}, cofactored`, encode(mixed), encode(honestR), honestS, cofactoredOnly);
  record(`R of mixed order ${multiple}`, encode(honestKey), encode(add(honestR, key)), honestS, cofactoredOnly);
  record(`key and R of mixed order ${multiple}`, encode(mixed), encode(add(honestR, key)), honestS, accepted);
  record(
    `R of small order ${multiple}`,
    encode(honestKey),
    encode(key),
    (k) => modulo(k * secret, order),
    cofactoredOnly,
  );
  record(
    `key of mixed order, R of small order ${multiple}`,
    encode(mixed),
    encode(key),
    (k) => modulo(k * secret, order),
    laxOnly,
  );
});
record("R is the identity", encode(honestKey), encode(identity), (k) => modulo(k * secret, order), laxOnly);

// Encodings of small-order points that RFC 8032 section 5.1.3 refuses: y + p, and x = 0 with its sign bit set.
const aliases: [string, Uint8Array][] = [
  ["y = p", littleEndian(prime)],
  ["y = p, x odd", littleEndian(prime | (1n << 255n))],
  ["y = p + 1", littleEndian(prime + 1n)],
  ["y = p + 1, x = -0", littleEndian((prime + 1n) | (1n << 255n))],
  ["y = 1, x = -0", littleEndian(1n | (1n << 255n))],
  ["y = -1, x = -0", littleEndian((prime - 1n) | (1n << 255n))],
];
for (const [name, bytes] of aliases) {
  record(`key encoded ${name}`, bytes, encode(honestR), () => nonce, laxOnly);
  record(`R encoded ${name}`, encode(honestKey), bytes, (k) => modulo(k * secret, order), {
    cofactored: true,
    valid: false,
  });
}

// No one knows a secret for these, so no signature holds: decoders still must not throw.
for (let y = prime + 2n; y < 2n ** 255n; y += 1n)
  record(`key encoded y = p + ${y - prime}`, littleEndian(y), encode(honestR), honestS, { valid: false });
record("key is no point", littleEndian(2n), encode(honestR), honestS, { valid: false });
record("R is no point", encode(honestKey), littleEndian(2n), honestS, { valid: false });

const comment =
  "Made by generate-ed25519-edges.ts. cofactored and cofactorless: the verification equation alone, decoding leniently. " +
  "valid: cofactorless, canonical encodings, S < L, neither the key nor R of small order (as verify_strict of ed25519-dalek).";
writeFileSync(
  new URL("ed25519-edges.json", import.meta.url),
  `${JSON.stringify({ comment, numberOfTests: edges.length, tests: edges }, null, 2)}\n`,
);
