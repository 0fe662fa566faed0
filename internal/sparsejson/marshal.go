package sparsejson

import (
	"encoding/json"
	"reflect"
)

// Marshal is json.Marshal.
func Marshal(v any) ([]byte, error) {
	return appendValue(nil, reflect.ValueOf(v))
}

func appendValue(out []byte, v reflect.Value) ([]byte, error) {
	to := v
	for to.Kind() == reflect.Pointer && !to.IsNil() {
		to = to.Elem()
	}
	switch {
	case !to.IsValid() || to.Kind() == reflect.Pointer:
		return append(out, "null"...), nil
	case plain(to.Type()):
		return appendStruct(out, to)
	case list(to.Type()) && !to.IsNil():
		return appendList(out, to)
	case to.CanAddr():
		to = to.Addr() // methods with a pointer for a receiver count
	}
	data, err := json.Marshal(to.Interface())
	return append(out, data...), err
}

func appendStruct(out []byte, v reflect.Value) ([]byte, error) {
	out = append(out, '{')
	first := len(out)
	list, err := fields(v.Type())
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) || f.omitZero && isZero(value) {
			continue
		}
		if len(out) > first {
			out = append(out, ',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		if out, err = appendValue(append(append(out, name...), ':'), value); err != nil {
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
		if out, err = appendStruct(out, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
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
