package spec

import (
	"reflect"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// siblings are the names that could stand where the last step of a field's
// path stands: the fields of the type that the rest of the path leads to.
func siblings(field string) []string {
	parts := strings.Split(field, ".")
	if len(parts) == 1 {
		return []string{"name", "version", "services", "networks", "volumes", "secrets", "configs", "include", "models"}
	}
	// Names that users give may have dots in them, so the last step of the
	// path is what follows the deepest type that is known.
	typ := reflect.TypeFor[types.Project]()
	for _, part := range parts[:len(parts)-1] {
		next := child(typ, part)
		if next == nil {
			return nil
		}
		typ = next
	}
	return fieldNames(typ)
}

// child is the type of a field, or of an entry of a map or list.
func child(typ reflect.Type, name string) reflect.Type {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Map, reflect.Slice:
		return typ.Elem()
	case reflect.Struct:
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if f.Anonymous || strings.Contains(options, "inline") && f.Type.Kind() == reflect.Struct {
				if t := child(f.Type, name); t != nil {
					return t
				}
			}
			if tag == name && name != "" {
				return f.Type
			}
		}
	}
	return nil
}

func fieldNames(typ reflect.Type) []string {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous || strings.Contains(options, "inline") && f.Type.Kind() == reflect.Struct:
			out = append(out, fieldNames(f.Type)...)
		case tag != "" && tag != "-" && tag[0] != '#':
			out = append(out, tag)
		}
	}
	return out
}
