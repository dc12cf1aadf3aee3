/** JSON of a value that may hold bytes, BigInts and numbers that JSON has not; its properties in the order of their names. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (each === undefined) return { undefined: true };
    if (typeof each === "number" && !Number.isFinite(each)) return { number: String(each) };
    if (typeof each === "bigint") return { bigint: String(each) };
    if (each instanceof Uint8Array) return { bytes: hexOf(each) };
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}

export function fromJson(json: string): unknown {
  return JSON.parse(json, (_, each: unknown) => {
    if (typeof each !== "object" || each === null) return each;
    if ("undefined" in each) return undefined;
    if ("number" in each) return Number(each.number);
    if ("bigint" in each) return BigInt(String(each.bigint));
    return "bytes" in each ? bytesOf(String(each.bytes)) : each;
  });
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}
