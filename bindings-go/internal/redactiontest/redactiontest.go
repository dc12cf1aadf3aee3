// Package redactiontest looks for a secret in what was printed or logged.
package redactiontest

import "strings"

// Secret is what a test hides.
const Secret = "hidden"

// IsShown finds the secret as text, in hexadecimal, in base64 and as numbers.
func IsShown(text string) bool {
	text = strings.ToLower(text)
	for _, form := range []string{Secret, "68696464656e", "aglkzgvu", "104 105 100", "0x68, 0x69"} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}
