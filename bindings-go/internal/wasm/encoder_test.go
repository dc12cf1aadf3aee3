package wasm_test

import (
	"bytes"
	"encoding/binary"
)

// guest is a small hand-made module with the exports of the contract, whose functions do what a test wants.
type guest struct {
	alloc, free, call []byte
	// start, if set, runs at instantiation.
	start []byte
	// data lies at address 1024.
	data []byte
	// pages of memory, 1 if 0.
	pages uint32
	// without leaves out this export.
	without string
	// imports a function that no host has.
	strangeImport bool
}

// Opcodes of WebAssembly 1.0.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBranch      = 0x0c
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Equal    = 0x46
	blockEmpty    = 0x40
)

// Function indices: the import comes first.
const (
	indexHostCall = iota
	indexAlloc
	indexFree
	indexCall
	indexStart
)

func (g guest) bytes() []byte {
	i32, i64 := byte(0x7f), byte(0x7e)
	pages := max(g.pages, 1)
	imports := [][]byte{concat(name("chatsdk"), name("host_call"), []byte{0, 2})}
	if g.strangeImport {
		imports = [][]byte{concat(name("chatsdk"), name("read_the_disk"), []byte{0, 2})}
	}
	var exports [][]byte
	for _, export := range []struct {
		name        string
		kind, index byte
	}{
		{"memory", 2, 0}, {"chatsdk_alloc", 0, indexAlloc}, {"chatsdk_free", 0, indexFree}, {"chatsdk_call", 0, indexCall},
	} {
		if export.name != g.without {
			exports = append(exports, concat(name(export.name), []byte{export.kind, export.index}))
		}
	}
	module := concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(
			[]byte{0x60, 1, i32, 1, i32},
			[]byte{0x60, 2, i32, i32, 0},
			[]byte{0x60, 3, i32, i32, i32, 1, i64},
			[]byte{0x60, 0, 0},
		)),
		section(2, vector(imports...)),
		section(3, vector([]byte{0}, []byte{1}, []byte{2}, []byte{3})),
		section(5, vector(concat([]byte{0}, unsigned(uint64(pages))))),
		section(7, vector(exports...)),
	)
	if g.start != nil {
		module = concat(module, section(8, []byte{indexStart}))
	}
	alloc := g.alloc
	if alloc == nil {
		alloc = i32Const(4096)
	}
	module = concat(module,
		section(10, vector(function(alloc), function(g.free), function(g.call), function(g.start))),
		section(11, vector(concat([]byte{0}, i32Const(1024), []byte{opEnd}, sized(g.data)))),
	)
	return module
}

// result packs a pointer and a length as chatsdk_call returns them.
func result(pointer, length uint32) []byte {
	return i64Const(int64(uint64(pointer)<<32 | uint64(length)))
}

func function(body []byte) []byte {
	return sized(concat([]byte{0}, body, []byte{opEnd}))
}

func i32Const(value int32) []byte { return append([]byte{opI32Const}, signed(int64(value))...) }

func i64Const(value int64) []byte { return append([]byte{opI64Const}, signed(value)...) }

func section(id byte, content []byte) []byte { return concat([]byte{id}, sized(content)) }

func vector(items ...[]byte) []byte { return concat(unsigned(uint64(len(items))), concat(items...)) }

func name(text string) []byte { return sized([]byte(text)) }

func sized(content []byte) []byte { return concat(unsigned(uint64(len(content))), content) }

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func unsigned(value uint64) []byte { return binary.AppendUvarint(nil, value) }

// signed is signed LEB128, which Go's library lacks.
func signed(value int64) []byte {
	var encoded []byte
	for {
		last := byte(value & 0x7f)
		value >>= 7
		if (value == 0 && last&0x40 == 0) || (value == -1 && last&0x40 != 0) {
			return append(encoded, last)
		}
		encoded = append(encoded, last|0x80)
	}
}
