package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/wasm"
)

const (
	// stepMethod is the number of CoreModule.Step.
	stepMethod = 5
	// timeout is for the slowest module on a busy machine.
	timeout = 10 * time.Minute
)

// person is one instance over a disk.
type person struct {
	name          string
	instance      *wasm.Instance
	instantiation time.Duration
	disk          *disk
	drawn         uint32
	alarmMs       uint64
}

func newPerson(ctx context.Context, name string, module *wasm.Module) (*person, error) {
	p := &person{name: name, disk: newDisk()}
	began := time.Now()
	instance, err := module.NewInstance(ctx, p.disk, wasm.WithTimeout(timeout))
	if err != nil {
		return nil, err
	}
	p.instance, p.instantiation = instance, time.Since(began)
	client := abi.NewCoreModuleClient(instance)
	hostKey := p.entropy()
	header, err := client.CreateVault(ctx, &abi.CreateVaultRequest{
		Derivation: &abi.KeyDerivation{Derivation: &abi.KeyDerivation_RawKey{RawKey: &abi.RawKey{}}}, HostKey: hostKey, Entropy: p.entropy(),
	})
	if err != nil {
		return nil, err
	}
	_, err = client.OpenCore(ctx, &abi.OpenCoreRequest{Config: &abi.Config{ClusterId: 42}, Header: header, HostKey: hostKey})
	return p, err
}

// step returns the encoded result, and the processor time it took.
func (p *person) step(ctx context.Context, input *abi.Input) ([]byte, time.Duration, error) {
	request, err := proto.Marshal(input)
	if err != nil {
		return nil, 0, err
	}
	began, err := threadTime()
	if err != nil {
		return nil, 0, err
	}
	result, err := p.instance.CallModule(ctx, stepMethod, request)
	if err != nil {
		return nil, 0, err
	}
	ended, err := threadTime()
	return result, ended - began, err
}

// entropy differs for each person and step, and is the same in each run.
func (p *person) entropy() []byte {
	entropy := bytes.Repeat([]byte{byte(len(p.name))}, 32)
	binary.BigEndian.PutUint32(entropy, p.drawn)
	p.drawn++
	return entropy
}

func (p *person) commit(outcome *abi.Outcome) {
	for _, change := range outcome.GetChanges() {
		p.disk.apply(change)
	}
	for _, effect := range outcome.GetEffects() {
		if effect, ok := effect.GetEffect().(*abi.Effect_WakeAtMs); ok {
			p.alarmMs = effect.WakeAtMs
		}
	}
}

func (p *person) takeAlarm(nowMs uint64) bool {
	due := p.alarmMs != 0 && p.alarmMs <= nowMs
	if due {
		p.alarmMs = 0
	}
	return due
}

// threadTime is the processor time of this thread: other programs on the machine do not count.
func threadTime() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now)
	return time.Duration(now.Nano()), err
}
