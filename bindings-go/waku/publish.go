package waku

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/wire"
)

// Publish returns once at least one node took the message; it fails with TRANSPORT_FAILED otherwise. Each call makes a new timestamp. A message with
// a slot gets a proof if there is a Prover, and does not leave without it then.
func (t *Transport) Publish(ctx context.Context, request *abi.Publish) error {
	pubsubTopic, err := t.network.PubsubTopic(request.GetTopic())
	if err != nil {
		return err
	}
	limited, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	defer context.AfterFunc(t.running, func() { abort(errStopped) })()
	if err := t.publish(limited, pubsubTopic, request); err != nil {
		if ctx.Err() != nil {
			return aborted(ctx)
		}
		var typed *abi.Error
		if errors.As(err, &typed) {
			return err
		}
		return retryable(err, "no node took the message")
	}
	return nil
}

func (t *Transport) publish(ctx context.Context, pubsubTopic string, request *abi.Publish) error {
	if err := takeTurn(ctx, t.pushing); err != nil {
		return err
	}
	defer endTurn(t.pushing)
	message, err := t.message(ctx, request)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, t.options.PublishTimeout, errTimeout)
	defer cancel()
	return t.push(limited, pubsubTopic, message)
}

func (t *Transport) message(ctx context.Context, request *abi.Publish) (*wire.WakuMessage, error) {
	message := &wire.WakuMessage{Payload: request.GetPayload(), ContentTopic: request.GetTopic()}
	slot := request.GetSlot()
	if slot == nil || t.options.Prover == nil {
		message.Timestamp = proto.Int64(t.timestamps.next(time.Now()))
		return message, nil
	}
	// One proof at a time: it keeps all cores busy.
	if err := takeTurn(ctx, t.proving); err != nil {
		return nil, err
	}
	defer endTurn(t.proving)
	// Not before: the proof is about the timestamp, which must be fresh when the message leaves.
	message.Timestamp = proto.Int64(t.timestamps.next(time.Now()))
	proof, err := t.options.Prover.Prove(ctx, ProofRequest{
		Topic: request.GetTopic(), Payload: request.GetPayload(), TimestampNs: message.GetTimestamp(), Epoch: slot.GetEpoch(), MessageID: slot.GetMessageId(),
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, retryable(err, "the rate limit's proof was not made")
	case len(proof) == 0:
		return nil, failed(nil, "Prover: it made an empty proof")
	}
	message.RateLimitProof = proof
	return message, nil
}

func takeTurn(ctx context.Context, turns chan<- struct{}) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case turns <- struct{}{}:
		return nil
	}
}

func endTurn(turns <-chan struct{}) { <-turns }

// push tries all nodes, again and again while one of them is only busy.
func (t *Transport) push(ctx context.Context, pubsubTopic string, message *wire.WakuMessage) error {
	if t.relay != nil {
		return t.relay.Publish(ctx, pubsubTopic, message)
	}
	for attempt := 0; ; attempt++ {
		var failures []error
		busy, refused := false, true
		for _, n := range t.openNodes() {
			if !n.canPush() {
				continue
			}
			err := n.push(ctx, pubsubTopic, message)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			failures = append(failures, err)
			var status *wire.Status
			if errors.As(err, &status) {
				busy = busy || status.Busy()
				refused = refused && status.Final()
			} else {
				refused = false
			}
		}
		switch {
		case busy:
		case len(failures) == 0:
			return retryable(nil, "no node is connected")
		case refused:
			return failed(failures[0], "no node took the message")
		default:
			return retryable(failures[0], "no node took the message")
		}
		if err := history.Sleep(ctx, history.Backoff(attempt, 250*time.Millisecond, 2*time.Second)); err != nil {
			return err
		}
	}
}
