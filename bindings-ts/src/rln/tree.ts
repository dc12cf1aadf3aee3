/** Levels of the membership tree that the circuit was made for. */
export const TREE_DEPTH = 20;

type HashPair = (left: Uint8Array, right: Uint8Array) => Uint8Array;

/** A leaf's way to the root: the sibling at each level, and whether the way's own node is the right one there. */
export interface MerklePath {
  readonly root: Uint8Array;
  readonly siblings: readonly Uint8Array[];
  readonly sides: Uint8Array;
}

/** Builds the tree of the leaves, with leaf 0 in the absent places, and keeps the way of one. A hash for each node. */
export function merklePath(leaves: readonly Uint8Array[], leaf: number, hash: HashPair): MerklePath {
  const siblings: Uint8Array[] = [];
  const sides = new Uint8Array(TREE_DEPTH);
  let layer = leaves;
  let empty: Uint8Array = new Uint8Array(32);
  let position = leaf;
  for (let level = 0; level < TREE_DEPTH; level++) {
    siblings.push(layer[position ^ 1] ?? empty);
    sides[level] = position & 1;
    const parents: Uint8Array[] = [];
    for (let left = 0; left < layer.length; left += 2)
      parents.push(hash(layer[left] as Uint8Array, layer[left + 1] ?? empty));
    layer = parents;
    empty = hash(empty, empty);
    position >>= 1;
  }
  return { root: layer[0] as Uint8Array, siblings, sides };
}
