/** The module: `plugin` as it is after it has evaluated `source`, with the exports of abi/ABI.md alone. */
export function snapshot(plugin: Uint8Array, source: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
