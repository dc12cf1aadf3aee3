package parts_test

import (
	"slices"
	"testing"

	"chatsdk/abi"
	"chatsdk/internal/parts"
)

func TestF6_AFewLargeMessagesAreOpenedAtATime(t *testing.T) {
	const mega = 1 << 20
	for _, one := range []struct {
		sizes   []int
		longest int
		parts   []int
	}{
		{[]int{1}, 1000, []int{1}},
		{[]int{9 * mega, 9 * mega}, 1000, []int{1, 1}},
		{[]int{2 * mega, 2 * mega, 1, 2 * mega}, 1000, []int{2, 2}},
		{slices.Repeat([]int{100}, 1000), 1000, []int{1000}},
		{slices.Repeat([]int{100}, 250), 100, []int{100, 100, 50}},
	} {
		messages := make([]*abi.Message, len(one.sizes))
		for i, size := range one.sizes {
			messages[i] = &abi.Message{Payload: make([]byte, size)}
		}
		var counts []int
		for len(messages) > 0 {
			count := parts.First(messages, one.longest)
			counts = append(counts, count)
			messages = messages[count:]
		}
		if !slices.Equal(counts, one.parts) {
			t.Errorf("messages of %v bytes: parts of %v, want %v", one.sizes, counts, one.parts)
		}
	}
}
