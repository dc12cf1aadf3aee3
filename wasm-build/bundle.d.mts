/** The guest's TypeScript from `entry` on as one script, and how much of it each file makes up. */
export function bundle(
  entry: string,
  options?: { crypto?: "intrinsics" | "noble"; define?: Record<string, unknown> },
): Promise<{ source: Uint8Array; sizes: Record<string, number> }>;
