package mapstructure

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// layout is the fields of a struct by the names that they have in data.
type layout struct {
	fields []field
	first  map[string]int // the first field of a name
}

// field is one field of a struct, or of one squashed into it.
type field struct {
	name      string
	index     []int // for reflect.Value.FieldByIndex
	omitEmpty bool
	next      int // another field of the same name; 0: there is none
}

// layouts are those that have been looked for, by layoutKey: a program has few
// types.
var layouts sync.Map

type layoutKey struct {
	of     reflect.Type
	tag    string
	squash bool
}

func (d *Decoder) layout(of reflect.Type) *layout {
	key := layoutKey{of, d.tag, d.squash}
	if known, ok := layouts.Load(key); ok {
		return known.(*layout)
	}
	l := &layout{first: map[string]int{}}
	type squashed struct {
		of    reflect.Type
		index []int
	}
	last := map[string]int{}
	for queue := []squashed{{of: of}}; len(queue) > 0; queue = queue[1:] {
		for i := range queue[0].of.NumField() {
			f := queue[0].of.Field(i)
			index := append(slices.Clip(queue[0].index), i)
			name, options, _ := strings.Cut(f.Tag.Get(d.tag), ",")
			squash := f.Type.Kind() == reflect.Struct && (d.squash && f.Anonymous || hasOption(options, "squash"))
			switch {
			case squash:
				queue = append(queue, squashed{f.Type, index})
				continue
			case name == "-" || !f.IsExported():
				continue
			case name == "":
				name = f.Name
			}
			n := len(l.fields)
			if before, ok := last[name]; ok {
				l.fields[before].next = n
			} else {
				l.first[name] = n
			}
			last[name] = n
			l.fields = append(l.fields, field{name: name, index: index, omitEmpty: hasOption(options, "omitempty")})
		}
	}
	layouts.Store(key, l)
	return l
}

func hasOption(options, option string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// entry is data of a mapping, and the field that it is for.
type entry struct {
	field int
	key   string
	data  any
}

// structure puts a mapping into a struct. Keys that no field is for are left
// out.
func (d *Decoder) structure(data any, out reflect.Value) []*fieldError {
	in := reflect.Indirect(reflect.ValueOf(data))
	switch {
	case in.Type() == out.Type():
		out.Set(in)
		return nil
	case in.Kind() != reflect.Map:
		return fail("expected a map or struct, got %q", in.Kind())
	case in.Type().Key().Kind() != reflect.String:
		return fail("needs a map with string keys, has %q keys", in.Type().Key().Kind())
	}
	l := d.layout(out.Type())
	var all []*fieldError
	for _, e := range l.arrange(in) {
		f := &l.fields[e.field]
		if errs := d.decode(e.data, out.FieldByIndex(f.index)); errs != nil {
			all = append(all, within(f.name, errs)...)
		}
	}
	return all
}

// arrange finds the fields for the entries of a map, and puts them in order. An
// entry is for the field of its name, or, as long as a field has no such entry,
// for one whose name is the same in other letter case.
func (l *layout) arrange(in reflect.Value) []entry {
	entries := make([]entry, 0, in.Len())
	for each := in.MapRange(); each.Next(); {
		key, data := each.Key().String(), each.Value().Interface()
		if n, ok := l.first[key]; ok {
			for ok {
				entries = append(entries, entry{n, key, data})
				n = l.fields[n].next
				ok = n != 0
			}
			continue
		}
		for n, f := range l.fields {
			if strings.EqualFold(f.name, key) && !in.MapIndex(reflect.ValueOf(f.name).Convert(in.Type().Key())).IsValid() {
				entries = append(entries, entry{n, key, data})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.field, b.field), strings.Compare(a.key, b.key))
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.field == b.field })
}

// fields puts the fields of a struct into a map, those that are structs
// themselves as maps of the same type.
func (d *Decoder) fields(in, to reflect.Value) []*fieldError {
	for _, f := range d.layout(in.Type()).fields {
		value := in.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) {
			continue
		}
		if each := reflect.Indirect(value); each.Kind() == reflect.Struct {
			value = reflect.MakeMap(to.Type())
			if errs := d.fields(each, value); errs != nil {
				return within(f.name, errs)
			}
		}
		if !value.Type().AssignableTo(to.Type().Elem()) {
			return within(f.name, fail("cannot assign type %q to map value field of type %q", value.Type(), to.Type().Elem()))
		}
		to.SetMapIndex(reflect.ValueOf(f.name), value)
	}
	return nil
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
