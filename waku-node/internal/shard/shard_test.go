package shard

import "testing"

func TestServesOnlyItsOwnShards(t *testing.T) {
	set := Set{Cluster: 42, Count: 8}
	for topic, want := range map[string]bool{
		"/waku/2/rs/42/0":            true,
		"/waku/2/rs/42/7":            true,
		"/waku/2/rs/42/8":            false,
		"/waku/2/rs/1/0":             false,
		"/waku/2/rs/42/07":           false,
		"/waku/2/rs/42":              false,
		"/waku/2/default-waku/proto": false,
		"":                           false,
	} {
		if got := set.Serves(topic); got != want {
			t.Errorf("Serves(%q) = %v, want %v", topic, got, want)
		}
	}
}

// The first and the last row are known answers of WAKU2-RELAY-SHARDING's algorithm; the others pin
// the generation prefix and the refusal of malformed content topics.
func TestTopicForAutosharding(t *testing.T) {
	set := Set{Cluster: 42, Count: 8}
	for contentTopic, want := range map[string]string{
		"/myapp/1/latest/proto":        "/waku/2/rs/42/0",
		"/0/myapp/1/latest/proto":      "/waku/2/rs/42/0",
		"/chatsdk/1/anything/proto":    "/waku/2/rs/42/6",
		"/logos-chat/1/anything/proto": "/waku/2/rs/42/0",
	} {
		got, err := set.TopicFor(contentTopic)
		if err != nil || got != want {
			t.Errorf("TopicFor(%q) = %q, %v, want %q", contentTopic, got, err, want)
		}
	}
	if _, err := set.TopicFor("no-slashes"); err == nil {
		t.Error("TopicFor accepted a content topic without parts")
	}
}
