package mapstructure

import (
	"errors"
	"fmt"
	"reflect"
)

// DecoderConfig says where data is put, and how.
type DecoderConfig struct {
	// DecodeHook is called with each value that is there, and where it is to
	// go, and returns what is put there instead.
	DecodeHook DecodeHookFunc
	// Result points to where the data goes.
	Result any
	// TagName is the tag that has the names of fields; "": mapstructure.
	TagName string
	// Squash looks for the fields of embedded structs in the same mapping.
	Squash bool
	// Metadata is nothing that is kept here: it stays empty.
	Metadata *Metadata
}

// Metadata would be which keys were used.
type Metadata struct{}

// DecodeHookFunc is a func(from, to reflect.Value) (any, error) or a
// func(from, to reflect.Type, data any) (any, error).
type DecodeHookFunc any

type hook = func(from, to reflect.Value) (any, error)

// asHook is the first form of a hook; nil is none.
func asHook(f DecodeHookFunc) (hook, error) {
	switch f := f.(type) {
	case nil:
		return nil, nil
	case hook:
		return f, nil
	case func(from, to reflect.Type, data any) (any, error):
		return func(from, to reflect.Value) (any, error) {
			return f(from.Type(), to.Type(), from.Interface())
		}, nil
	}
	return nil, fmt.Errorf("%T is no decode hook", f)
}

// ComposeDecodeHookFunc makes one hook of several, each of which gets what the
// one before it has returned.
func ComposeDecodeHookFunc(fs ...DecodeHookFunc) DecodeHookFunc {
	hooks := make([]hook, len(fs))
	for i, f := range fs {
		h, err := asHook(f)
		if err != nil {
			h = func(reflect.Value, reflect.Value) (any, error) { return nil, err }
		}
		hooks[i] = h
	}
	return func(from, to reflect.Value) (any, error) {
		data := from.Interface()
		for _, h := range hooks {
			var err error
			if data, err = h(from, to); err != nil {
				return nil, err
			}
			from = reflect.ValueOf(data)
		}
		return data, nil
	}
}

// Decoder puts data into the result of its configuration.
type Decoder struct {
	tag    string
	squash bool
	hook   hook
	result reflect.Value
}

// NewDecoder checks a configuration.
func NewDecoder(c *DecoderConfig) (*Decoder, error) {
	result := reflect.ValueOf(c.Result)
	if result.Kind() != reflect.Pointer || result.IsNil() {
		return nil, errors.New("result must be a pointer")
	}
	hook, err := asHook(c.DecodeHook)
	if err != nil {
		return nil, err
	}
	d := &Decoder{tag: c.TagName, squash: c.Squash, hook: hook, result: result.Elem()}
	if d.tag == "" {
		d.tag = "mapstructure"
	}
	return d, nil
}

// Decode puts data into what output points to, without a hook.
func Decode(input, output any) error {
	d, err := NewDecoder(&DecoderConfig{Result: output})
	if err != nil {
		return err
	}
	return d.Decode(input)
}

// Decode puts data into the result. It goes on after an error, so that one error
// tells of all that is wrong.
func (d *Decoder) Decode(input any) error {
	return asError(d.decode(input, d.result))
}
