package rln

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// read is how a field's value is read; field is its name from the file on, for the error.
type read func(d *document, field string) error

type field struct {
	name string
	read read
}

// document is a JSON text whose objects have exactly the fields they should, each once. encoding/json's own errors quote the text, which may be a
// secret in the wrong place; these name a field of ours, a line and a column.
type document struct {
	text   []byte
	tokens *json.Decoder
}

// readDocument reads an object, and wipes the text.
func readDocument(r io.Reader, name string, fields []field) error {
	text, err := io.ReadAll(r)
	defer clear(text)
	if err != nil {
		return fmt.Errorf("rln: %s cannot be read: %w", name, err)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(skipped)); errors.As(err, &syntax) {
		return &InvalidError{name, "is no JSON: see " + placeIn(text, syntax.Offset-1)}
	}
	d := &document{text: text, tokens: json.NewDecoder(bytes.NewReader(text))}
	return d.object(name, fields)
}

// skipped takes any value.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

func (d *document) object(name string, fields []field) error {
	place := d.place()
	if token, _ := d.tokens.Token(); token != json.Delim('{') {
		return &InvalidError{name, "must be a JSON object: see " + place}
	}
	done := make([]bool, len(fields))
	for d.tokens.More() {
		place = d.place()
		key, _ := d.tokens.Token()
		i := 0
		for i < len(fields) && fields[i].name != key {
			i++
		}
		switch {
		case i == len(fields):
			return &InvalidError{name, "has a field that does not belong there: see " + place}
		case done[i]:
			return &InvalidError{name + "." + fields[i].name, "is there twice: see " + place}
		}
		done[i] = true
		if err := fields[i].read(d, name+"."+fields[i].name); err != nil {
			return err
		}
	}
	for i, field := range fields {
		if !done[i] {
			return &InvalidError{name + "." + field.name, "is missing"}
		}
	}
	_, err := d.tokens.Token()
	return err
}

// value reads what encoding/json puts into target; must says what is expected.
func value(target any, must string) read {
	return func(d *document, field string) error {
		place := d.place()
		var raw json.RawMessage
		defer func() { clear(raw) }()
		err := d.tokens.Decode(&raw)
		// encoding/json takes null for anything.
		if err != nil || string(raw) == "null" || json.Unmarshal(raw, target) != nil {
			return &InvalidError{field, "must be " + must + ": see " + place}
		}
		return nil
	}
}

// list reads a list, an element at a time.
func list(element func(d *document, name string) error) read {
	return func(d *document, field string) error {
		place := d.place()
		if token, _ := d.tokens.Token(); token != json.Delim('[') {
			return &InvalidError{field, "must be a list: see " + place}
		}
		for i := 0; d.tokens.More(); i++ {
			if err := element(d, fmt.Sprintf("%s[%d]", field, i)); err != nil {
				return err
			}
		}
		_, err := d.tokens.Token()
		return err
	}
}

// place is where the next token starts.
func (d *document) place() string {
	offset := d.tokens.InputOffset()
	for offset < int64(len(d.text)) && bytes.IndexByte([]byte(" \t\r\n,:"), d.text[offset]) >= 0 {
		offset++
	}
	return placeIn(d.text, offset)
}

// placeIn counts lines and bytes of a line, from 1.
func placeIn(text []byte, offset int64) string {
	before := text[:max(offset, 0)]
	return fmt.Sprintf("line %d, column %d", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}
