/** What a function of WASI gives back. */
const SUCCESS = 0;
const BAD_FILE = 8;
const NOT_SUPPORTED = 52;
const STDERR = 2;

type WasiFunction = (...parameters: (number | bigint)[]) => number;
export type WasiFunctions = Readonly<Record<string, WasiFunction>>;

/** WASI preview 1 for a module that needs none of it. Standard error is heard, so that a panic can be read. */
export function wasiImports(
  names: readonly string[],
  memory: () => WebAssembly.Memory,
  onStderr: (text: string) => void,
): WasiFunctions {
  const known: WasiFunctions = {
    fd_write: (file, vectors, count, written) => {
      if (file !== STDERR) return BAD_FILE;
      const view = new DataView(memory().buffer);
      const parts = Array.from({ length: Number(count) }, (_, index) => {
        const [pointer, length] = [0, 4].map((offset) => view.getUint32(Number(vectors) + index * 8 + offset, true));
        return new Uint8Array(view.buffer, pointer, length);
      });
      onStderr(Buffer.concat(parts).toString());
      view.setUint32(
        Number(written),
        parts.reduce((total, part) => total + part.length, 0),
        true,
      );
      return SUCCESS;
    },
    proc_exit: (status) => {
      throw new Error(`exit status ${status}`);
    },
  };
  return Object.fromEntries(names.map((name) => [name, known[name] ?? (() => NOT_SUPPORTED)]));
}
