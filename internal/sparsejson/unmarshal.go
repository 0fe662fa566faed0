package sparsejson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
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
	_, err := readValue(space(data), into.Elem())
	return err
}

// readValue reads the value that valid JSON begins with, and returns what comes
// after it. What is null, not what the type asks for, or in any way special is
// left to encoding/json.
func readValue(data []byte, into reflect.Value) (rest []byte, err error) {
	t, first := into.Type(), data[0]
	kind := plain(t)
	switch kind {
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
	data, rest = cut(data)
	switch kind {
	case reflect.Bool:
		if first == 't' || first == 'f' {
			into.SetBool(first == 't')
			return rest, nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(string(data), 10, 64); err == nil && !into.OverflowInt(n) {
			into.SetInt(n)
			return rest, nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, err := strconv.ParseUint(string(data), 10, 64); err == nil && !into.OverflowUint(n) {
			into.SetUint(n)
			return rest, nil
		}
	case reflect.String:
		if first == '"' {
			s, err := readString(data)
			into.SetString(s)
			return rest, err
		}
	}
	return rest, readSpecial(data, into.Addr().Interface())
}

// readSpecial reads a value of a type that does so itself, or leaves it to
// encoding/json.
func readSpecial(data []byte, into any) error {
	if data[0] != 'n' {
		if own, ok := into.(json.Unmarshaler); ok {
			return own.UnmarshalJSON(data)
		}
		if own, ok := into.(encoding.TextUnmarshaler); ok && data[0] == '"' {
			s, err := readString(data)
			if err != nil {
				return err
			}
			return own.UnmarshalText([]byte(s))
		}
	}
	return json.Unmarshal(data, into)
}

// readString reads a string, with its quotes; null is an empty one.
func readString(data []byte) (s string, err error) {
	if text, ok := asIs(data); ok {
		return string(text), nil
	}
	err = json.Unmarshal(data, &s)
	return s, err
}

// asIs is what is between a string's quotes, if that is what it says.
func asIs(data []byte) ([]byte, bool) {
	if data[0] != '"' || bytes.IndexByte(data, '\\') >= 0 || !utf8.Valid(data) {
		return nil, false
	}
	return data[1 : len(data)-1], true
}

func readStruct(data []byte, into reflect.Value) ([]byte, error) {
	all, err := fields(into.Type())
	if err != nil {
		return nil, err
	}
	next := 0 // the one that comes next, if they come as they are written
	return members(data, func(name, value []byte) ([]byte, error) {
		i := place(all, name, next)
		if i < 0 {
			_, rest := cut(value)
			return rest, nil
		}
		next = i + 1
		return readValue(value, into.FieldByIndex(all[i].index))
	})
}

// place is where a name is among the fields, which are looked at from one on;
// negative where it is not.
func place(all []field, name []byte, from int) int {
	for n := range all {
		if i := (from + n) % len(all); all[i].name == string(name) {
			return i
		}
	}
	for i := range all {
		if strings.EqualFold(all[i].name, string(name)) {
			return i
		}
	}
	return -1
}

func readMap(data []byte, into reflect.Value) ([]byte, error) {
	t := into.Type()
	if into.IsNil() {
		into.Set(reflect.MakeMap(t))
	}
	if m, ok := into.Interface().(map[string]string); ok {
		return members(data, func(name, value []byte) ([]byte, error) {
			value, rest := cut(value)
			s, err := readString(value)
			m[string(name)] = s
			return rest, err
		})
	}
	return members(data, func(name, value []byte) ([]byte, error) {
		element := reflect.New(t.Elem()).Elem()
		rest, err := readValue(value, element)
		if err != nil {
			return nil, err
		}
		into.SetMapIndex(reflect.ValueOf(string(name)).Convert(t.Key()), element)
		return rest, nil
	})
}

func readList(data []byte, into reflect.Value) (rest []byte, err error) {
	all := reflect.New(into.Type()).Elem()
	all.Set(reflect.MakeSlice(into.Type(), 0, 1))
	for rest = space(data[1:]); rest[0] != ']'; rest = next(rest) {
		n := all.Len()
		if n == all.Cap() {
			all.Grow(1)
		}
		all.SetLen(n + 1)
		if rest, err = readValue(rest, all.Index(n)); err != nil {
			return nil, err
		}
	}
	into.Set(all)
	return rest[1:], nil
}

// members calls fn for those of an object, with all that there is from the value
// on; fn returns what is behind that.
func members(data []byte, fn func(name, value []byte) ([]byte, error)) (rest []byte, err error) {
	for rest = space(data[1:]); rest[0] != '}'; rest = next(rest) {
		quoted, after := cut(rest)
		name, ok := asIs(quoted)
		if !ok {
			s, err := readString(quoted)
			if err != nil {
				return nil, err
			}
			name = []byte(s)
		}
		if rest, err = fn(name, space(space(after)[1:])); err != nil { // behind the colon
			return nil, err
		}
	}
	return rest[1:], nil
}

// next is what comes after a value: another one, or the end.
func next(data []byte) []byte {
	if data = space(data); data[0] == ',' {
		data = space(data[1:])
	}
	return data
}

// space is what is behind the space that data begins with.
func space(data []byte) []byte {
	for len(data) > 0 && (data[0] == ' ' || data[0] == '\t' || data[0] == '\r' || data[0] == '\n') {
		data = data[1:]
	}
	return data
}

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
		i += bytes.IndexByte(data[i:], '"')
		backslashes := 0
		for data[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i
		}
	}
}
