// Package parts divides what does not fit one call of the module.
package parts

// Size in bytes is far below the module's memory.
const Size = 4 << 20

// First counts the first items that go together: as many as fit, at most longest, at least one.
func First[Item interface{ GetPayload() []byte }](items []Item, longest int) int {
	count, size := 1, len(items[0].GetPayload())
	for count < min(len(items), longest) && size+len(items[count].GetPayload()) <= Size {
		size += len(items[count].GetPayload())
		count++
	}
	return count
}
