/** Ascending lists of sequences, as records keep them. */

export function insertSorted(list: number[], value: number): void {
  let index = list.length;
  while (index > 0 && list[index - 1]! > value) index--;
  if (list[index - 1] !== value) list.splice(index, 0, value);
}

/** True if it was there. */
export function removeFrom(list: number[], value: number): boolean {
  const index = list.indexOf(value);
  if (index < 0) return false;
  list.splice(index, 1);
  return true;
}

/** Bit i (LSB first) says whether `base + 2 + i` is in the list: `base + 1` is missing by definition. */
export function toBitmap(base: number, list: readonly number[]): Uint8Array {
  const highest = list.at(-1);
  if (highest === undefined) return new Uint8Array(0);
  const bitmap = new Uint8Array(Math.ceil((highest - base - 1) / 8));
  for (const sequence of list) {
    const bit = sequence - base - 2;
    bitmap[bit >> 3]! |= 1 << (bit & 7);
  }
  return bitmap;
}

export function fromBitmap(base: number, bitmap: Uint8Array): number[] {
  const list: number[] = [];
  for (let bit = 0; bit < bitmap.length * 8; bit++) {
    if (bitmap[bit >> 3]! & (1 << (bit & 7))) list.push(base + 2 + bit);
  }
  return list;
}
