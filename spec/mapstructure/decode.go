package mapstructure

import (
	"reflect"
	"strconv"
)

// decode puts data into out, which can be set. Without data, out stays as it is.
func (d *Decoder) decode(data any, out reflect.Value) []*fieldError {
	if isNil(data) {
		return nil
	}
	if d.hook != nil {
		var err error
		if data, err = d.hook(reflect.ValueOf(data), out); err != nil {
			return []*fieldError{{err: err}}
		}
		if isNil(data) {
			return nil
		}
	}
	switch out.Kind() {
	case reflect.Pointer:
		return d.pointer(data, out)
	case reflect.Interface:
		return d.dynamic(data, out)
	case reflect.Struct:
		return d.structure(data, out)
	case reflect.Map:
		return d.mapping(data, out)
	case reflect.Slice:
		return d.slice(data, out)
	}
	return scalar(data, out)
}

// isNil says whether there is no data, or a pointer to none.
func isNil(data any) bool {
	switch data.(type) {
	case nil:
		return true
	case string, map[string]any, []any:
		return false
	}
	v := reflect.ValueOf(data)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// pointer puts data into what out points to, or is to point to.
func (d *Decoder) pointer(data any, out reflect.Value) []*fieldError {
	switch v := reflect.Indirect(reflect.ValueOf(data)); v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			out.SetZero()
			return nil
		}
	}
	to := out
	if to.IsNil() {
		to = reflect.New(out.Type().Elem())
	}
	if errs := d.decode(data, to.Elem()); errs != nil {
		return errs
	}
	out.Set(to)
	return nil
}

// dynamic puts data into an interface. What is in there already says which type
// the data is to have.
func (d *Decoder) dynamic(data any, out reflect.Value) []*fieldError {
	if there := out.Elem(); there.IsValid() {
		to := reflect.New(there.Type()).Elem()
		to.Set(there)
		if errs := d.decode(data, to); errs != nil {
			return errs
		}
		out.Set(to)
		return nil
	}
	in := reflect.ValueOf(data)
	if !in.Type().AssignableTo(out.Type()) {
		return unconvertible(data, out)
	}
	out.Set(in)
	return nil
}

// mapping puts a map or a struct into a map, beside what is there.
func (d *Decoder) mapping(data any, out reflect.Value) []*fieldError {
	to := out
	if to.IsNil() {
		to = reflect.MakeMap(out.Type())
	}
	in := reflect.Indirect(reflect.ValueOf(data))
	var errs []*fieldError
	switch {
	case in.Kind() == reflect.Struct:
		errs = d.fields(in, to)
	case in.Kind() != reflect.Map:
		return unconvertible(data, out)
	case in.IsNil():
		out.SetZero()
		return nil
	case in.Pointer() != to.Pointer(): // else the hook has put it there
		errs = d.entries(in, to)
	}
	out.Set(to)
	return errs
}

// entries puts the entries of one map into another.
func (d *Decoder) entries(in, to reflect.Value) []*fieldError {
	var all []*fieldError
	keyType, valueType := to.Type().Key(), to.Type().Elem()
	for entry := in.MapRange(); entry.Next(); {
		key, errs := entry.Key(), []*fieldError(nil)
		if key.Type() != keyType {
			key = reflect.New(keyType).Elem()
			errs = d.decode(entry.Key().Interface(), key)
		}
		if errs == nil {
			value := reflect.New(valueType).Elem()
			if errs = d.decode(entry.Value().Interface(), value); errs == nil {
				to.SetMapIndex(key, value)
			}
		}
		all = append(all, within("["+entry.Key().String()+"]", errs)...)
	}
	return all
}

// slice puts a list into a slice, over what is there.
func (d *Decoder) slice(data any, out reflect.Value) []*fieldError {
	in := reflect.Indirect(reflect.ValueOf(data))
	switch {
	case in.Kind() != reflect.Slice && in.Kind() != reflect.Array:
		return fail("source data must be an array or slice, got %s", in.Kind())
	case in.Kind() == reflect.Slice && in.IsNil():
		return nil
	case in.Kind() == reflect.Slice && in.Pointer() == out.Pointer() && in.Len() == out.Len():
		return nil // the hook has put it there
	}
	to := reflect.MakeSlice(out.Type(), in.Len(), in.Len())
	reflect.Copy(to, out)
	var all []*fieldError
	for i := range in.Len() {
		if errs := d.decode(in.Index(i).Interface(), to.Index(i)); errs != nil {
			all = append(all, within("["+strconv.Itoa(i)+"]", errs)...)
		}
	}
	out.Set(to)
	return all
}

// scalar puts a text, a number or a truth value into one of its kind; a number
// also into one of another.
func scalar(data any, out reflect.Value) []*fieldError {
	in := reflect.Indirect(reflect.ValueOf(data))
	switch to := out.Kind(); {
	case to == reflect.String && in.Kind() == reflect.String:
		out.SetString(in.String())
	case to == reflect.Bool && in.Kind() == reflect.Bool:
		out.SetBool(in.Bool())
	case to == reflect.String, to == reflect.Bool:
		return unconvertible(data, out)
	case out.CanInt():
		switch {
		case in.CanInt():
			out.SetInt(in.Int())
		case in.CanUint():
			out.SetInt(int64(in.Uint()))
		case in.CanFloat():
			out.SetInt(int64(in.Float()))
		default:
			return unconvertible(data, out)
		}
	case out.CanUint():
		switch {
		case in.CanInt() && in.Int() < 0:
			return fail("cannot parse value as '%s': %d overflows uint", out.Type(), in.Int())
		case in.CanFloat() && in.Float() < 0:
			return fail("cannot parse value as '%s': %f overflows uint", out.Type(), in.Float())
		case in.CanInt():
			out.SetUint(uint64(in.Int()))
		case in.CanUint():
			out.SetUint(in.Uint())
		case in.CanFloat():
			out.SetUint(uint64(in.Float()))
		default:
			return unconvertible(data, out)
		}
	case out.CanFloat():
		switch {
		case in.CanInt():
			out.SetFloat(float64(in.Int()))
		case in.CanUint():
			out.SetFloat(float64(in.Uint()))
		case in.CanFloat():
			out.SetFloat(in.Float())
		default:
			return unconvertible(data, out)
		}
	default:
		return fail("unsupported type: %s", to)
	}
	return nil
}
