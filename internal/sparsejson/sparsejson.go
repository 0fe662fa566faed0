// Package sparsejson is encoding/json for large structs of which few fields are
// set. Before its first byte encoding/json looks at all types below the one it
// is given, which in a process that lives for an instant takes many times as
// long as the bytes; here a type is looked at where there is a value of it.
//
// What is written and read is the same, but for lists, which are read anew. The
// option "string" of a field, and embedding what is no struct, are refused.
package sparsejson

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is one of a struct, as its tag has it in JSON.
type field struct {
	name                string
	omitEmpty, omitZero bool
	index               []int // more than one where it is of what the struct embeds
}

// known are the fields of the structs that there have been values of.
var known sync.Map // reflect.Type -> func() ([]field, error)

// fields are those of a struct that JSON has. What it embeds without a name has
// its fields among them.
func fields(t reflect.Type) ([]field, error) {
	f, ok := known.Load(t)
	if !ok {
		f, _ = known.LoadOrStore(t, sync.OnceValues(func() ([]field, error) { return list(t, nil) }))
	}
	return f.(func() ([]field, error))()
}

func list(t reflect.Type, in []int) ([]field, error) {
	all := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clip(in), i)
		if sf.Anonymous && name == "" {
			if sf.Type.Kind() != reflect.Struct {
				return nil, fmt.Errorf("json: embedding %s in %s is not supported", sf.Type, t)
			}
			embedded, err := list(sf.Type, at)
			if err != nil {
				return nil, err
			}
			all = append(all, embedded...)
			continue
		}
		if !sf.IsExported() || tag == "-" {
			continue
		}
		f := field{name: cmp.Or(name, sf.Name), index: at}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "omitempty":
				f.omitEmpty = true
			case "omitzero":
				f.omitZero = true
			case "string":
				return nil, fmt.Errorf("json: the option %q of %s.%s is not supported", option, t, sf.Name)
			}
		}
		all = append(all, f)
	}
	return all, nil
}

// plain is the kind of a type where that tells how JSON has it, and Invalid
// where the type has methods that do.
func plain(t reflect.Type) reflect.Kind {
	if t.PkgPath() == "" { // of the language: it has no methods
		return t.Kind()
	}
	kind, ok := kinds.Load(t)
	if !ok {
		kind, _ = kinds.LoadOrStore(t, look(t))
	}
	return kind.(reflect.Kind)
}

// kinds are those of the types with a name that there have been values of.
var kinds sync.Map // reflect.Type -> reflect.Kind

func look(t reflect.Type) reflect.Kind {
	p := reflect.PointerTo(t)
	for _, own := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](),
		reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	} {
		if p.Implements(own) {
			return reflect.Invalid
		}
	}
	return t.Kind()
}

// textual says that a map's keys are strings as they are.
func textual(t reflect.Type) bool { return plain(t.Key()) == reflect.String }

// binary says that a slice is one of bytes, which JSON has in base 64.
func binary(t reflect.Type) bool { return t.Elem().Kind() == reflect.Uint8 }
