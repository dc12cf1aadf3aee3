package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/abi/content"
	"chatsdk/internal/wasm"
)

const (
	// digestedMessages is after how many messages the digest is complete.
	digestedMessages  = 20
	betweenMessagesMs = 1000
	textTag           = 1
)

var startMs = uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())

// cost is the processor time of the steps: of SendMessage and EnvelopeReceived, and of all.
type cost struct {
	exchange, total time.Duration
}

// conversation is two instances that write to each other in turn: bench/hosts/conversation.ts in the repository, to the byte.
type conversation struct {
	alice, bob *person
	id         string
	content    *abi.Content
	pending    []pendingInput
	nowMs      uint64
	messages   int
	received   int
	cost       cost
	hash       hash.Hash
	digest     string
}

type pendingInput struct {
	person *person
	input  *abi.Input
}

func newConversation(ctx context.Context, module *wasm.Module) (*conversation, error) {
	payload, err := proto.Marshal(&content.Text{Text: strings.Repeat("x", 100)})
	if err != nil {
		return nil, err
	}
	c := &conversation{content: &abi.Content{Tag: textTag, Version: 1, Payload: payload}, nowMs: startMs, hash: sha256.New()}
	if c.alice, err = newPerson(ctx, "alice", module); err != nil {
		return nil, err
	}
	if c.bob, err = newPerson(ctx, "bob", module); err != nil {
		return nil, err
	}
	return c, c.setUp(ctx)
}

func (c *conversation) setUp(ctx context.Context) error {
	for _, person := range []*person{c.alice, c.bob} {
		if _, err := c.call(ctx, person, &abi.Input{Input: &abi.Input_Start{Start: &abi.Start{}}}); err != nil {
			return err
		}
	}
	var accounts []string
	for _, person := range []*person{c.alice, c.bob} {
		reply, err := c.call(ctx, person, &abi.Input{Input: &abi.Input_CreateAccount{CreateAccount: &abi.CreateAccountRequest{}}})
		if err != nil {
			return err
		}
		accounts = append(accounts, reply.GetAccount().GetAccountId())
	}
	invited, err := c.call(ctx, c.bob, &abi.Input{Input: &abi.Input_CreateInvite{CreateInvite: &abi.CreateInviteRequest{AccountId: accounts[1]}}})
	if err != nil {
		return err
	}
	accepted, err := c.call(ctx, c.alice, &abi.Input{Input: &abi.Input_AcceptInvite{AcceptInvite: &abi.AcceptInviteRequest{
		AccountId: accounts[0], Link: invited.GetInvite().GetLink(), Content: c.content,
	}}})
	c.id = accepted.GetSentMessage().GetConversation().GetConversationId()
	return err
}

// exchange lets one message be written, arrive, and be shown.
func (c *conversation) exchange(ctx context.Context) error {
	c.nowMs += betweenMessagesMs
	for _, person := range []*person{c.alice, c.bob} {
		if !person.takeAlarm(c.nowMs) {
			continue
		}
		if _, err := c.call(ctx, person, &abi.Input{Input: &abi.Input_Wake{Wake: &abi.Wake{}}}); err != nil {
			return err
		}
	}
	from := c.bob
	if c.messages%2 == 1 {
		from = c.alice
	}
	before := c.received
	input := &abi.Input{Input: &abi.Input_SendMessage{SendMessage: &abi.SendMessageRequest{ConversationId: c.id, Content: c.content}}}
	if _, err := c.call(ctx, from, input); err != nil {
		return err
	}
	if c.received != before+1 {
		return fmt.Errorf("message %d arrived %d times", c.messages, c.received-before)
	}
	if c.messages++; c.messages == digestedMessages {
		c.digest = hex.EncodeToString(c.hash.Sum(nil))
	}
	return nil
}

// memoryBytes is that of the larger instance.
func (c *conversation) memoryBytes() uint64 {
	return max(c.alice.instance.MemoryBytes(), c.bob.instance.MemoryBytes())
}

// call feeds an input and all that it leads to.
func (c *conversation) call(ctx context.Context, person *person, input *abi.Input) (*abi.Reply, error) {
	outcome, err := c.step(ctx, person, input)
	if err != nil {
		return nil, err
	}
	if failure := outcome.GetReply().GetFailure(); failure != nil {
		return nil, fmt.Errorf("%v: %s", failure.GetCode(), failure.GetMessage())
	}
	for len(c.pending) > 0 {
		next := c.pending[0]
		c.pending = c.pending[1:]
		if _, err := c.step(ctx, next.person, next.input); err != nil {
			return nil, err
		}
	}
	return outcome.GetReply(), nil
}

func (c *conversation) step(ctx context.Context, person *person, input *abi.Input) (*abi.Outcome, error) {
	input.NowMs, input.Entropy = c.nowMs, person.entropy()
	result, took, err := person.step(ctx, input)
	if err != nil {
		return nil, err
	}
	c.cost.total += took
	if input.GetSendMessage() != nil || input.GetEnvelopeReceived() != nil {
		c.cost.exchange += took
	}
	if c.messages < digestedMessages {
		c.hash.Write(result)
	}
	decoded := &abi.StepResult{}
	if err := proto.Unmarshal(result, decoded); err != nil {
		return nil, err
	}
	person.commit(decoded.GetOutcome())
	c.perform(person, decoded.GetOutcome())
	return decoded.GetOutcome(), nil
}

func (c *conversation) perform(from *person, outcome *abi.Outcome) {
	to := c.alice
	if from == c.alice {
		to = c.bob
	}
	later := func(person *person, input *abi.Input) { c.pending = append(c.pending, pendingInput{person, input}) }
	for _, effect := range outcome.GetEffects() {
		switch effect := effect.GetEffect().(type) {
		case *abi.Effect_Publish:
			publish := effect.Publish
			later(from, &abi.Input{Input: &abi.Input_PublishResult{PublishResult: &abi.PublishResult{PublishId: publish.GetPublishId(), Ok: true}}})
			later(to, &abi.Input{Input: &abi.Input_EnvelopeReceived{EnvelopeReceived: &abi.EnvelopeReceived{
				Topic: publish.GetTopic(), Payload: publish.GetPayload(),
			}}})
		case *abi.Effect_QueryHistory:
			later(from, &abi.Input{Input: &abi.Input_HistoryPage{HistoryPage: &abi.HistoryPage{QueryId: effect.QueryHistory.GetQueryId()}}})
		}
	}
	for _, event := range outcome.GetEvents() {
		if event.GetMessageReceived() != nil {
			c.received++
		}
	}
	if events := outcome.GetEvents(); len(events) > 0 {
		number := events[len(events)-1].GetEventNumber()
		later(from, &abi.Input{Input: &abi.Input_AcknowledgeEvents{AcknowledgeEvents: &abi.AcknowledgeEventsRequest{EventNumber: number}}})
	}
}
