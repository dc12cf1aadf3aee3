package changes

import "unicode/utf8"

// PrefixEnd is the first string after all that start with prefix, in the order of their bytes; false: there is none. It is valid UTF-8 if
// the prefix is.
func PrefixEnd(prefix string) (end string, bounded bool) {
	points := []rune(prefix)
	for len(points) > 0 {
		last := points[len(points)-1]
		points = points[:len(points)-1]
		if last == utf8.MaxRune {
			continue
		}
		next := last + 1
		if next == 0xd800 {
			// Surrogates are no characters of their own.
			next = 0xe000
		}
		return string(append(points, next)), true
	}
	return "", false
}
