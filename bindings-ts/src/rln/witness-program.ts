/** The functions of a WebAssembly program that circom 2 makes of a circuit. Field elements cross in 32-bit words, lowest first. */
interface Exports {
  init(sanityCheck: number): void;
  getFieldNumLen32(): number;
  getInputSize(): number;
  getInputSignalSize(hashHigh: number, hashLow: number): number;
  setInputSignal(hashHigh: number, hashLow: number, index: number): void;
  getWitnessSize(): number;
  getWitness(index: number): void;
  readSharedRWMemory(word: number): number;
  writeSharedRWMemory(word: number, value: number): void;
}

/**
 * Computes all values in a circuit from its inputs. Our own, though npm has `circom_runtime`: that one brings 41 MB of curve
 * arithmetic for these lines.
 */
export class WitnessProgram {
  readonly #exports: Exports;
  readonly #words: number;

  constructor(module: WebAssembly.Module) {
    const ignore = () => undefined;
    const exceptionHandler = (code: number) => {
      throw new Error(`the circuit refused its inputs (code ${code})`);
    };
    const runtime = {
      exceptionHandler,
      printErrorMessage: ignore,
      writeBufferMessage: ignore,
      showSharedRWMemory: ignore,
    };
    this.#exports = new WebAssembly.Instance(module, { runtime }).exports as unknown as Exports;
    this.#words = this.#exports.getFieldNumLen32();
  }

  /** Inputs are decimal numbers. Throws when one is missing, unknown, or breaks a constraint. */
  calculate(inputs: Readonly<Record<string, string | readonly string[]>>): bigint[] {
    const circuit = this.#exports;
    circuit.init(1);
    let set = 0;
    for (const [name, value] of Object.entries(inputs)) {
      const values = typeof value === "string" ? [value] : value;
      const hash = fnv1a64(name);
      const [high, low] = [Number(hash >> 32n), Number(hash & 0xffffffffn)];
      if (circuit.getInputSignalSize(high, low) !== values.length)
        throw new Error(`the circuit has no such input: ${name}`);
      for (const [index, number] of values.entries()) {
        this.#write(BigInt(number));
        circuit.setInputSignal(high, low, index);
        set++;
      }
    }
    if (set !== circuit.getInputSize()) throw new Error("the circuit has more inputs");
    return Array.from({ length: circuit.getWitnessSize() }, (_, index) => {
      circuit.getWitness(index);
      return this.#read();
    });
  }

  #write(element: bigint): void {
    for (let word = 0; word < this.#words; word++)
      this.#exports.writeSharedRWMemory(word, Number((element >> BigInt(32 * word)) & 0xffffffffn));
  }

  #read(): bigint {
    let element = 0n;
    for (let word = this.#words - 1; word >= 0; word--)
      element = (element << 32n) | BigInt(this.#exports.readSharedRWMemory(word) >>> 0);
    return element;
  }
}

/** circom finds an input by this hash of its name. */
function fnv1a64(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text, "utf8")) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
