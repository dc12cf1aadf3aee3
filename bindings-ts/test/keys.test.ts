import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type KeyDerivation, KeyDerivationSchema } from "@chatsdk/abi/host_pb";
import { argon2id as nobleArgon2id } from "@noble/hashes/argon2.js";
import { argon2id as wasmArgon2id } from "hash-wasm";
import { describe, expect, test } from "vitest";
import { deriveKey, newDerivation, type StorageKey } from "../src/keys/storage-key.ts";
import { answer } from "./storage-support/child.ts";

const SALT = Uint8Array.from({ length: 16 }, (_, index) => index);
const PASSPHRASE = "correct horse battery staple";

describe("Argon2id", () => {
  // hash-wasm takes no associated data, which the RFC's vector has. So noble answers for the RFC, and hash-wasm is compared with noble.
  test("F7 RFC 9106 section 5.3: the reference we compare with", () => {
    const parameters = {
      t: 3,
      m: 32,
      p: 4,
      dkLen: 32,
      key: new Uint8Array(8).fill(3),
      personalization: new Uint8Array(12).fill(4),
    };
    expect(hex(nobleArgon2id(new Uint8Array(32).fill(1), new Uint8Array(16).fill(2), parameters))).toBe(
      "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
    );
  });

  test.each([
    { passes: 3, memoryKib: 32, lanes: 4 },
    { passes: 1, memoryKib: 8, lanes: 1 },
    { passes: 2, memoryKib: 133, lanes: 3 },
    { passes: 16, memoryKib: 128, lanes: 16 },
    { passes: 4, memoryKib: 1000, lanes: 2 },
  ])(
    "F7 hash-wasm equals it with $passes passes, $memoryKib KiB, $lanes lanes",
    async ({ passes, memoryKib, lanes }) => {
      const secret = new Uint8Array(8).fill(3);
      const wasm = await wasmArgon2id({
        password: PASSPHRASE,
        salt: SALT,
        secret,
        iterations: passes,
        memorySize: memoryKib,
        parallelism: lanes,
        hashLength: 32,
        outputType: "hex",
      });
      expect(wasm).toBe(
        hex(nobleArgon2id(PASSPHRASE, SALT, { t: passes, m: memoryKib, p: lanes, dkLen: 32, key: secret })),
      );
      const ours = await deriveKey({ passphrase: PASSPHRASE }, argon2id({ memoryKib, passes, lanes }));
      expect(hex(ours)).toBe(hex(nobleArgon2id(PASSPHRASE, SALT, { t: passes, m: memoryKib, p: lanes, dkLen: 32 })));
    },
  );

  // From the test program of the reference implementation (phc-winner-argon2, test.c, version 0x13).
  test("F7 a vector of the reference implementation", async () => {
    const parameters = {
      password: "password",
      salt: "somesalt",
      iterations: 2,
      memorySize: 65_536,
      parallelism: 1,
      hashLength: 32,
      outputType: "hex",
    } as const;
    expect(await wasmArgon2id(parameters)).toBe("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
  });

  test("F7 a fixed vector for our parameters, the same in every language", async () => {
    const started = performance.now();
    const key = await deriveKey({ passphrase: PASSPHRASE }, argon2id({ memoryKib: 65_536, passes: 3, lanes: 4 }));
    console.log(`Argon2id, 64 MiB, 3 passes, 4 lanes: ${Math.round(performance.now() - started)} ms`);
    expect(hex(key)).toBe("853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e");
    expect(hex(key)).toBe(hex(nobleArgon2id(PASSPHRASE, SALT, { t: 3, m: 65_536, p: 4, dkLen: 32 })));
  });

  test("F7 parameters out of bounds come from a hostile file and are refused at once", async () => {
    const good = { salt: SALT, memoryKib: 64, passes: 1, lanes: 1 };
    const bad: [string, object][] = [
      ["memory_kib", { memoryKib: 1_048_577 }],
      ["memory_kib", { memoryKib: 0xffffffff }],
      ["memory_kib", { memoryKib: 7 }],
      ["memory_kib", { memoryKib: 0 }],
      ["memory_kib", { memoryKib: 64, lanes: 9 }],
      ["passes", { passes: 17 }],
      ["passes", { passes: 0 }],
      ["passes", { passes: 0xffffffff }],
      ["lanes", { lanes: 17, memoryKib: 1024 }],
      ["lanes", { lanes: 0 }],
      ["salt", { salt: new Uint8Array(0) }],
      ["salt", { salt: new Uint8Array(15) }],
      ["salt", { salt: new Uint8Array(1_000_000) }],
    ];
    for (const [field, change] of bad) {
      const started = performance.now();
      await expect(deriveKey({ passphrase: "x" }, argon2id({ ...good, ...change }))).rejects.toMatchObject({
        name: "ChatError",
        code: ErrorCode.DATABASE_CORRUPT,
        message: expect.stringContaining(`argon2id.${field}`),
      });
      expect(performance.now() - started).toBeLessThan(100);
    }
  });

  test("F7 the largest memory that is allowed works", { timeout: 60_000 }, async () => {
    expect(await deriveKey({ passphrase: "x" }, argon2id({ memoryKib: 1_048_576, passes: 1, lanes: 4 }))).toHaveLength(
      32,
    );
  });
});

describe("newDerivation and deriveKey", () => {
  test("F7 a passphrase: RFC 9106's second recommended option, a fresh salt each time", async () => {
    const first = await newDerivation({ passphrase: PASSPHRASE });
    const second = await newDerivation({ passphrase: PASSPHRASE });
    expect(first.derivation).toMatchObject({ case: "argon2id", value: { memoryKib: 65_536, passes: 3, lanes: 4 } });
    if (first.derivation.case !== "argon2id" || second.derivation.case !== "argon2id") throw new Error("kind");
    expect(first.derivation.value.salt).toHaveLength(16);
    expect(first.derivation.value.salt).not.toEqual(second.derivation.value.salt);
    const key = await deriveKey({ passphrase: PASSPHRASE }, first);
    expect(await deriveKey({ passphrase: PASSPHRASE }, first)).toEqual(key);
    expect(await deriveKey({ passphrase: `${PASSPHRASE} ` }, first)).not.toEqual(key);
    expect(await deriveKey({ passphrase: PASSPHRASE }, second)).not.toEqual(key);
  });

  test("F7 a passphrase is the same however it was typed (NFC)", async () => {
    const derivation = argon2id({ memoryKib: 64, passes: 1, lanes: 1 });
    const composed = await deriveKey({ passphrase: "Zo\u00eb \u1e9b\u0323 \u212b" }, derivation);
    expect(await deriveKey({ passphrase: "Zoe\u0308 \u017f\u0323\u0307 A\u030a" }, derivation)).toEqual(composed);
    expect(await deriveKey({ passphrase: "zo\u00eb \u1e9b\u0323 \u212b" }, derivation)).not.toEqual(composed);
    expect(hex(composed)).toBe(
      hex(nobleArgon2id("Zo\u00eb \u1e9b\u0323 \u00c5", SALT, { t: 1, m: 64, p: 1, dkLen: 32 })),
    );
    expect(await deriveKey({ passphrase: "\u{1f511} ключ 鍵" }, derivation)).toHaveLength(32);
  });

  test("F7 a raw key: copied, exactly 32 bytes", async () => {
    const rawKey = new Uint8Array(32).fill(9);
    const derivation = await newDerivation({ rawKey });
    expect(derivation.derivation.case).toBe("rawKey");
    const key = await deriveKey({ rawKey }, derivation);
    expect(key).toEqual(rawKey);
    key.fill(0);
    expect(rawKey[0]).toBe(9);
    expect(await deriveKey({ rawKey: Buffer.from(rawKey) }, derivation)).toEqual(rawKey);
    for (const length of [0, 16, 31, 33, 64]) {
      await expectInvalid({ rawKey: new Uint8Array(length) }, "storageKey.rawKey");
    }
  });

  test("F7 unprotected: zeros, and only if said so", async () => {
    const derivation = await newDerivation({ unprotected: true });
    expect(derivation.derivation.case).toBe("unprotected");
    expect(await deriveKey({ unprotected: true }, derivation)).toEqual(new Uint8Array(32));
  });

  test("F7 malformed keys are refused, and never repeated in the message", async () => {
    await expectInvalid({ passphrase: "" }, "storageKey.passphrase");
    await expectInvalid({ passphrase: "half a pair \ud800" }, "storageKey.passphrase");
    await expectInvalid({ keyring: { service: "", account: "a" } }, "storageKey.keyring");
    await expectInvalid({ keyring: { service: "s", account: "" } }, "storageKey.keyring");
    const malformed: unknown[] = [
      undefined,
      null,
      "secret-text",
      5,
      {},
      [],
      { passphrase: 5 },
      { passphrase: "secret-text", rawKey: new Uint8Array(32) },
      { unprotected: false },
      { unprotected: "true" },
      { rawKey: "0".repeat(64) },
      { rawKey: new Array(32).fill(0) },
      { keyring: "secret-text" },
      { keyring: { service: "s" } },
      { passphrase: undefined },
    ];
    for (const key of malformed) {
      const error = await expectInvalid(key as StorageKey, "storageKey");
      expect(String(error)).not.toContain("secret-text");
    }
  });

  test("F7 a key of another kind is a wrong key, and the message names the kind needed", async () => {
    const keys: Record<string, StorageKey> = {
      passphrase: { passphrase: "secret-text" },
      rawKey: { rawKey: new Uint8Array(32) },
      keyring: { keyring: { service: "s", account: "a" } },
      unprotected: { unprotected: true },
    };
    const derivations: [string, KeyDerivation, string][] = [
      ["passphrase", argon2id({ memoryKib: 64, passes: 1, lanes: 1 }), "give storageKey.passphrase"],
      ["rawKey", create(KeyDerivationSchema, { derivation: { case: "rawKey", value: {} } }), "give storageKey.rawKey"],
      [
        "keyring",
        create(KeyDerivationSchema, { derivation: { case: "keyring", value: { service: "s", account: "a" } } }),
        "give storageKey.keyring",
      ],
      [
        "unprotected",
        create(KeyDerivationSchema, { derivation: { case: "unprotected", value: {} } }),
        "unprotected: true",
      ],
    ];
    for (const [needed, derivation, remedy] of derivations) {
      for (const [given, key] of Object.entries(keys)) {
        if (given === needed) continue;
        await expect(deriveKey(key, derivation), `${given} for ${needed}`).rejects.toMatchObject({
          name: "ChatError",
          code: ErrorCode.WRONG_KEY,
          retryable: false,
          message: expect.stringContaining(remedy),
        });
        const error: unknown = await deriveKey(key, derivation).catch((reason: unknown) => reason);
        expect(String(error)).not.toContain("secret-text");
      }
    }
  });

  test("S2 a kind of a newer version", async () => {
    await expect(deriveKey({ unprotected: true }, create(KeyDerivationSchema))).rejects.toMatchObject({
      code: ErrorCode.UNSUPPORTED_VERSION,
    });
  });

  test("F7 a file cannot choose which entry of the keyring is read", async () => {
    const derivation = create(KeyDerivationSchema, {
      derivation: { case: "keyring", value: { service: "another application", account: "login" } },
    });
    await expect(deriveKey({ keyring: { service: "s", account: "a" } }, derivation)).rejects.toMatchObject({
      code: ErrorCode.WRONG_KEY,
      message: expect.stringContaining("another application"),
    });
  });
});

describe("keyring", () => {
  test("F7 without a keyring: KEYRING_UNAVAILABLE, and no fallback to a store that forgets", {
    timeout: 60_000,
  }, async () => {
    const env = { DBUS_SESSION_BUS_ADDRESS: "", XDG_RUNTIME_DIR: "", DISPLAY: "", WAYLAND_DISPLAY: "" };
    expect(await answer(["keyring", "chatsdk-test", "none"], { env })).toMatchObject({
      code: "KEYRING_UNAVAILABLE",
      message: expect.stringContaining("give a passphrase or a raw key"),
    });
  });

  const tools = ["dbus-run-session", "gnome-keyring-daemon"].filter((tool) => !installed(tool));

  test("F7 with the Secret Service: one random key, kept; its loss and foreign entries are told", {
    timeout: 120_000,
  }, async () => {
    if (tools.length > 0) {
      console.log(`the keyring itself was not tested: ${tools.join(" and ")} not installed`);
      return;
    }
    const home = mkdtempSync(join(tmpdir(), "chatsdk-keyring-"));
    try {
      // A session bus and an unlocked keyring of their own: the keyring ends with the bus, and the bus with the child.
      const script = 'printf "\\n" | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; "$@"';
      const command = ["dbus-run-session", "--", "sh", "-c", script, "sh"];
      const env = {
        HOME: home,
        XDG_RUNTIME_DIR: home,
        XDG_DATA_HOME: join(home, "data"),
        DBUS_SESSION_BUS_ADDRESS: "",
        DISPLAY: "",
      };
      expect(await answer(["keyring", "chatsdk-test", "main"], { command, env })).toEqual({
        derivation: "keyring",
        length: 32,
        same: true,
        zero: false,
      });
      expect(await answer(["keyringAbsent", "chatsdk-test", "lost"], { command, env })).toMatchObject({
        code: "WRONG_KEY",
        message: expect.stringContaining("the keyring has no service"),
      });
      const foreign = await answer(["keyringForeign", "chatsdk-test", "foreign"], { command, env });
      expect(foreign).toMatchObject({ code: "WRONG_KEY", message: expect.stringContaining("name another entry") });
      expect(JSON.stringify(foreign)).not.toContain("hunter2");
      console.log("keyring tested with gnome-keyring in a private D-Bus session");
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});

function argon2id(fields: { salt?: Uint8Array; memoryKib?: number; passes?: number; lanes?: number }): KeyDerivation {
  return create(KeyDerivationSchema, { derivation: { case: "argon2id", value: { salt: SALT, ...fields } } });
}

async function expectInvalid(key: StorageKey, field: string): Promise<unknown> {
  const expected = { name: "ChatError", code: ErrorCode.INVALID_ARGUMENT, message: expect.stringContaining(field) };
  await expect(newDerivation(key)).rejects.toMatchObject(expected);
  const error: unknown = await deriveKey(
    key,
    create(KeyDerivationSchema, { derivation: { case: "unprotected", value: {} } }),
  ).catch((reason: unknown) => reason);
  expect(error).toMatchObject(expected);
  return error;
}

function installed(tool: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${tool}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
