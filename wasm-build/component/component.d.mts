/** The component around a core module. Throws if the core imports what the component does not have, or is no core module. */
export function makeComponent(core: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
