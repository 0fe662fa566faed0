package sparsejson

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal is json.Marshal.
func Marshal(v any) ([]byte, error) {
	return appendValue(nil, reflect.ValueOf(v))
}

func appendValue(out []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(out, "null"...), nil
	}
	switch t := v.Type(); plain(t) {
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(out, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	case reflect.String:
		return appendString(out, v.String())
	case reflect.Struct:
		return appendStruct(out, v)
	case reflect.Pointer:
		return appendValue(out, v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return append(out, "null"...), nil
		}
		if !binary(t) {
			return appendList(out, v)
		}
	case reflect.Map:
		if v.IsNil() {
			return append(out, "null"...), nil
		}
		if textual(t) {
			return appendMap(out, v)
		}
	}
	if v.CanAddr() {
		v = v.Addr() // methods with a pointer for a receiver count
	}
	data, err := json.Marshal(v.Interface())
	return append(out, data...), err
}

// appendString needs no help with a string of which JSON escapes nothing.
func appendString(out []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			data, err := json.Marshal(s)
			return append(out, data...), err
		}
	}
	return append(append(append(out, '"'), s...), '"'), nil
}

func appendStruct(out []byte, v reflect.Value) ([]byte, error) {
	out = append(out, '{')
	first := len(out)
	all, err := fields(v.Type())
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) || f.omitZero && isZero(value) {
			continue
		}
		if len(out) > first {
			out = append(out, ',')
		}
		if out, err = appendString(out, f.name); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), value); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendList(out []byte, v reflect.Value) (_ []byte, err error) {
	out = append(out, '[')
	for i := range v.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendValue(out, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func appendMap(out []byte, v reflect.Value) (_ []byte, err error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendString(out, key.String()); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func isZero(v reflect.Value) bool {
	if own, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return v.Kind() == reflect.Pointer && v.IsNil() || own.IsZero()
	}
	return v.IsZero()
}
