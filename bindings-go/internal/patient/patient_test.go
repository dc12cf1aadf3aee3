package patient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/patient"
)

func TestS4_AWaitLastsNoLongerThanItsContextAndWhatComesLateIsDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		discarded := ""
		slow := func() (string, error) {
			time.Sleep(time.Minute)
			return "late", nil
		}
		got, err := patient.For(ctx, slow, func(late string) { discarded = late })
		if got != "" || !errors.Is(err, abi.ErrAborted) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(began))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if discarded != "late" {
			t.Errorf("discarded: %q", discarded)
		}
	})
}

func TestS4_WorkThatIsDoneInTimeGivesItsOutcome(t *testing.T) {
	failure := errors.New("failed")
	got, err := patient.For(t.Context(), func() (int, error) { return 7, failure }, func(int) { t.Error("discarded") })
	if got != 7 || err != failure {
		t.Errorf("%d, %v", got, err)
	}
}
