package waku

import (
	"testing"
	"time"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestR1_TimestampsOfABurstAreUnlikeEachOtherAndGoOnWhileTheClockIsPutBackALittle(t *testing.T) {
	var timestamps timestamps
	last := timestamps.next(now)
	if last != now.UnixNano() {
		t.Errorf("the first is %d", last)
	}
	draw := func(clock time.Time) {
		t.Helper()
		next := timestamps.next(clock)
		if next <= last {
			t.Errorf("%d after %d", next, last)
		}
		last = next
	}
	for range 1000 {
		draw(now)
	}
	draw(now.Add(-4999 * time.Millisecond))
	draw(now.Add(-time.Millisecond))
	if later := now.Add(time.Millisecond); timestamps.next(later) != later.UnixNano() {
		t.Error("it does not follow the clock")
	}
}

func TestR1_TimestampsFollowAClockThatWasAnHourAheadAndWasPutRight(t *testing.T) {
	var timestamps timestamps
	timestamps.next(now.Add(time.Hour))
	for i := range int64(2) {
		if next := timestamps.next(now); next != now.UnixNano()+i {
			t.Errorf("draw %d is %d, %d ns ahead of the clock", i, next, next-now.UnixNano())
		}
	}
}
