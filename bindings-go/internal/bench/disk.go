package main

import (
	"context"
	"slices"
	"strings"

	"chatsdk/abi"
	"chatsdk/internal/changes"
)

// disk keeps records in memory, in the order of their keys, so that what is measured is the module alone. Rows for the application are left
// out: the core never reads them.
type disk struct {
	keys    []string
	records map[string]*record
	tags    map[string]string
}

type record struct {
	value []byte
	tags  []string
}

func newDisk() *disk {
	return &disk{records: map[string]*record{}, tags: map[string]string{}}
}

// Read answers what the module wants to know.
func (d *disk) Read(_ context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	answer := &abi.ReadAnswer{}
	find := func(key string) {
		if found := d.records[key]; found != nil {
			answer.Records = append(answer.Records, &abi.Record{Key: key, Value: found.value})
		}
	}
	switch read := read.GetRead().(type) {
	case *abi.Read_Get:
		find(read.Get)
	case *abi.Read_FindTag:
		find(d.tags[string(read.FindTag)])
	case *abi.Read_Scan:
		keys := d.under(read.Scan.GetPrefix())
		if limit := int(read.Scan.GetLimit()); limit > 0 {
			keys = keys[:min(limit, len(keys))]
		}
		for _, key := range keys {
			find(key)
		}
	}
	return answer, nil
}

func (d *disk) apply(change *abi.Change) {
	switch change := change.GetChange().(type) {
	case *abi.Change_Put:
		d.put(change.Put.GetKey(), change.Put.GetValue())
	case *abi.Change_Delete:
		d.delete(change.Delete)
	case *abi.Change_DeletePrefix:
		for _, key := range slices.Clone(d.under(change.DeletePrefix)) {
			d.delete(key)
		}
	case *abi.Change_AddTags:
		key := change.AddTags.GetKey()
		for tag := range changes.Tags(change.AddTags.GetTags()) {
			d.tags[string(tag)] = key
			if tagged := d.records[key]; tagged != nil {
				tagged.tags = append(tagged.tags, string(tag))
			}
		}
	case *abi.Change_RemoveTags:
		for tag := range changes.Tags(change.RemoveTags) {
			delete(d.tags, string(tag))
		}
	}
}

// under is the part of the keys with a prefix.
func (d *disk) under(prefix string) []string {
	start, _ := slices.BinarySearch(d.keys, prefix)
	end := start
	for end < len(d.keys) && strings.HasPrefix(d.keys[end], prefix) {
		end++
	}
	return d.keys[start:end]
}

func (d *disk) put(key string, value []byte) {
	if known := d.records[key]; known != nil {
		known.value = value
		return
	}
	at, _ := slices.BinarySearch(d.keys, key)
	d.keys = slices.Insert(d.keys, at, key)
	d.records[key] = &record{value: value}
}

// delete takes the tags of a record with it.
func (d *disk) delete(key string) {
	gone := d.records[key]
	if gone == nil {
		return
	}
	for _, tag := range gone.tags {
		if d.tags[tag] == key {
			delete(d.tags, tag)
		}
	}
	delete(d.records, key)
	at, _ := slices.BinarySearch(d.keys, key)
	d.keys = slices.Delete(d.keys, at, at+1)
}
