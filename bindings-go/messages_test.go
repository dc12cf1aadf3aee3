package chatsdk

import (
	"slices"
	"testing"

	"chatsdk/abi"
)

func TestF6_AFewLargeMessagesAreOpenedAtATime(t *testing.T) {
	const mega = 1 << 20
	for _, one := range []struct {
		sizes []int
		parts []int
	}{
		{[]int{1}, []int{1}},
		{[]int{9 * mega, 9 * mega}, []int{1, 1}},
		{[]int{2 * mega, 2 * mega, 1, 2 * mega}, []int{2, 2}},
		{slices.Repeat([]int{100}, 1000), []int{1000}},
	} {
		messages := make([]*abi.Message, len(one.sizes))
		for i, size := range one.sizes {
			messages[i] = &abi.Message{Payload: make([]byte, size)}
		}
		var parts []int
		for len(messages) > 0 {
			part := partOf(messages)
			parts = append(parts, part)
			messages = messages[part:]
		}
		if !slices.Equal(parts, one.parts) {
			t.Errorf("messages of %v bytes: parts of %v, want %v", one.sizes, parts, one.parts)
		}
	}
}
