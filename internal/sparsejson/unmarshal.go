package sparsejson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unmarshal is json.Unmarshal.
func Unmarshal(data []byte, v any) error {
	into := reflect.ValueOf(v)
	if into.Kind() != reflect.Pointer || into.IsNil() || !json.Valid(data) {
		return json.Unmarshal(data, v)
	}
	return readValue(bytes.TrimSpace(data), into.Elem())
}

// readValue reads one JSON value, which is valid and has no space around it.
// What is null, not what the type asks for, or in any way special is left to
// encoding/json.
func readValue(data []byte, into reflect.Value) error {
	t, first := into.Type(), data[0]
	switch plain(t) {
	case reflect.Bool:
		if first == 't' || first == 'f' {
			into.SetBool(first == 't')
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(string(data), 10, 64); err == nil && !into.OverflowInt(n) {
			into.SetInt(n)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, err := strconv.ParseUint(string(data), 10, 64); err == nil && !into.OverflowUint(n) {
			into.SetUint(n)
			return nil
		}
	case reflect.String:
		if first == '"' {
			s, err := readString(data)
			into.SetString(s)
			return err
		}
	case reflect.Struct:
		if first == '{' {
			return readStruct(data, into)
		}
	case reflect.Pointer:
		if first != 'n' {
			if into.IsNil() {
				into.Set(reflect.New(t.Elem()))
			}
			return readValue(data, into.Elem())
		}
	case reflect.Slice:
		if first == '[' && !binary(t) {
			return readList(data, into)
		}
	case reflect.Map:
		if first == '{' && textual(t) {
			return readMap(data, into)
		}
	}
	return json.Unmarshal(data, into.Addr().Interface())
}

// readString reads a string, with its quotes.
func readString(data []byte) (s string, err error) {
	if bytes.IndexByte(data, '\\') < 0 && utf8.Valid(data) {
		return string(data[1 : len(data)-1]), nil
	}
	err = json.Unmarshal(data, &s)
	return s, err
}

func readStruct(data []byte, into reflect.Value) error {
	all, err := fields(into.Type())
	if err != nil {
		return err
	}
	return members(data, func(name string, value []byte) error {
		i := slices.IndexFunc(all, func(f field) bool { return f.name == name })
		if i < 0 {
			i = slices.IndexFunc(all, func(f field) bool { return strings.EqualFold(f.name, name) })
		}
		if i < 0 {
			return nil
		}
		return readValue(value, into.FieldByIndex(all[i].index))
	})
}

func readMap(data []byte, into reflect.Value) error {
	t := into.Type()
	if into.IsNil() {
		into.Set(reflect.MakeMap(t))
	}
	return members(data, func(name string, value []byte) error {
		element := reflect.New(t.Elem()).Elem()
		if err := readValue(value, element); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), element)
		return nil
	})
}

func readList(data []byte, into reflect.Value) error {
	all := reflect.MakeSlice(into.Type(), 0, 1)
	for rest := space(data[1:]); rest[0] != ']'; {
		value, after := cut(rest)
		all = reflect.Append(all, reflect.Zero(into.Type().Elem()))
		if err := readValue(value, all.Index(all.Len()-1)); err != nil {
			return err
		}
		rest = next(after)
	}
	into.Set(all)
	return nil
}

// members calls fn for those of an object.
func members(data []byte, fn func(name string, value []byte) error) error {
	for rest := space(data[1:]); rest[0] != '}'; {
		quoted, after := cut(rest)
		name, err := readString(quoted)
		if err != nil {
			return err
		}
		value, after := cut(space(space(after)[1:])) // behind the colon
		if err := fn(name, value); err != nil {
			return err
		}
		rest = next(after)
	}
	return nil
}

// next is what comes after a value: another one, or the end.
func next(data []byte) []byte {
	if data = space(data); data[0] == ',' {
		data = space(data[1:])
	}
	return data
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
