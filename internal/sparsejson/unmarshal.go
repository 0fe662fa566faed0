package sparsejson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Unmarshal is json.Unmarshal.
func Unmarshal(data []byte, v any) error {
	into := reflect.ValueOf(v)
	if into.Kind() != reflect.Pointer || into.IsNil() || !plain(into.Type().Elem()) || !json.Valid(data) {
		return json.Unmarshal(data, v)
	}
	return readValue(bytes.TrimSpace(data), into.Elem())
}

// readValue reads one JSON value, which is valid and has no space around it.
func readValue(data []byte, into reflect.Value) error {
	t := into.Type()
	if t.Kind() == reflect.Pointer && data[0] == '{' && plain(t.Elem()) {
		if into.IsNil() {
			into.Set(reflect.New(t.Elem()))
		}
		into = into.Elem()
	}
	switch {
	case data[0] == '{' && plain(into.Type()):
		return readStruct(data, into)
	case data[0] == '[' && list(into.Type()):
		return readList(data, into)
	}
	return json.Unmarshal(data, into.Addr().Interface())
}

func readStruct(data []byte, into reflect.Value) error {
	list, err := fields(into.Type())
	if err != nil {
		return err
	}
	for rest := space(data[1:]); rest[0] != '}'; {
		quoted, after := cut(rest)
		name := string(quoted[1 : len(quoted)-1])
		if strings.ContainsRune(name, '\\') {
			if err := json.Unmarshal(quoted, &name); err != nil {
				return err
			}
		}
		value, after := cut(space(space(after)[1:])) // behind the colon
		if i := slices.IndexFunc(list, func(f field) bool { return f.name == name }); i >= 0 {
			if err := readValue(value, into.FieldByIndex(list[i].index)); err != nil {
				return err
			}
		}
		if rest = space(after); rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return nil
}

func readList(data []byte, into reflect.Value) error {
	all := reflect.MakeSlice(into.Type(), 0, 1)
	for rest := space(data[1:]); rest[0] != ']'; {
		value, after := cut(rest)
		all = reflect.Append(all, reflect.Zero(into.Type().Elem()))
		if err := readValue(value, all.Index(all.Len()-1)); err != nil {
			return err
		}
		if rest = space(after); rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	into.Set(all)
	return nil
}

func space(data []byte) []byte { return bytes.TrimLeft(data, " \t\r\n") }

// cut takes the value that valid JSON begins with off what comes after it.
func cut(data []byte) (value, rest []byte) {
	for i, depth := 0, 0; ; i++ {
		switch data[i] {
		case '"':
			i += quoted(data[i:])
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			// A number or a word.
			for i+1 < len(data) && data[i+1] > ' ' && bytes.IndexByte([]byte(",}]"), data[i+1]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return data[:i+1], data[i+1:]
		}
	}
}

// quoted is where in data, which begins with a string, that string ends.
func quoted(data []byte) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
}
