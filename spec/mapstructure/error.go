package mapstructure

import (
	"errors"
	"fmt"
	"reflect"
)

// fieldError is what is wrong with one value.
type fieldError struct {
	name string // as far as it is known: services[web].ports[0].target
	err  error
}

func (e *fieldError) Error() string { return fmt.Sprintf("'%s' %s", e.name, e.err) }

func (e *fieldError) Unwrap() error { return e.err }

func fail(format string, args ...any) []*fieldError {
	return []*fieldError{{err: fmt.Errorf(format, args...)}}
}

// unconvertible says that data is of another type than what it is for.
func unconvertible(data any, to reflect.Value) []*fieldError {
	return fail("expected type '%s', got unconvertible type '%s'", to.Type(), reflect.TypeOf(data))
}

// within says that errors are about something further in: a field, or [an
// index] or [a key].
func within(step string, errs []*fieldError) []*fieldError {
	for _, e := range errs {
		if e.name != "" && e.name[0] != '[' {
			e.name = "." + e.name
		}
		e.name = step + e.name
	}
	return errs
}

// asError is one error that tells of all.
func asError(errs []*fieldError) error {
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == 1 && errs[0].name == "": // about the whole
		return errs[0]
	}
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return fmt.Errorf("decoding failed due to the following error(s):\n\n%w", errors.Join(all...))
}
