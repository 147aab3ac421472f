package jsapi

import (
	"fmt"
	"math"
	"strings"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
)

// reader reads the options object of one call. An unknown key, a wrong type and a number out of range are TypeErrors that
// name the option, the value and the values that it takes.
type reader struct {
	m    *Module
	what string // the call, for messages
}

// read calls the reader of each key that the object has. A missing or undefined object has none.
func (r reader) read(value sobek.Value, keys map[string]func(name string, value sobek.Value)) {
	if common.IsNullish(value) {
		return
	}
	object, ok := value.(*sobek.Object)
	if !ok {
		r.m.throw("%s takes an object, got %s", r.what, show(value))
	}
	for _, key := range object.Keys() {
		read, known := keys[key]
		if !known {
			r.m.throw("unknown option %q of %s; it takes %s", key, r.what, strings.Join(sortedKeys(keys), ", "))
		}
		if option := object.Get(key); !sobek.IsUndefined(option) {
			read(key, option)
		}
	}
}

// throw throws a TypeError about an option of the call.
func (r reader) throw(option, format string, args ...any) {
	r.m.throwOption(option, option+" of "+r.what, " "+fmt.Sprintf(format, args...))
}

// throwOption throws a TypeError about an option, which the message calls called. A script that took the option from elsewhere,
// such as an environment variable, gets the message with that name from messageFor.
func (m *Module) throwOption(option, called, fault string) {
	thrown := m.vu.Runtime().NewTypeError("%s", called+fault)
	set(thrown, "option", option)
	set(thrown, "messageFor", func(name string) string { return name + fault })
	panic(thrown)
}

func (r reader) text(into *string) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		text, ok := export(value).(string)
		if !ok {
			r.throw(name, "must be a string, got %s", show(value))
		}
		*into = text
	}
}

func (r reader) optionalText(into **string) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		var text string
		r.text(&text)(name, value)
		*into = &text
	}
}

func (r reader) number(into *float64, least, most float64) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		number, ok := toNumber(value)
		if !ok || number < least || number > most {
			r.throw(name, "must be a number from %v to %v, got %s", least, most, show(value))
		}
		*into = number
	}
}

func (r reader) whole(into *int, least, most int) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		number, ok := toNumber(value)
		if !ok || number != math.Trunc(number) || number < float64(least) || number > float64(most) {
			r.throw(name, "must be a whole number from %d to %d, got %s", least, most, show(value))
		}
		*into = int(number)
	}
}

func (r reader) yesOrNo(into *bool) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		given, ok := export(value).(bool)
		if !ok {
			r.throw(name, "must be true or false, got %s", show(value))
		}
		*into = given
	}
}

func (r reader) function(into *sobek.Callable) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		function, ok := sobek.AssertFunction(value)
		if !ok {
			r.throw(name, "must be a function, got %s", show(value))
		}
		*into = function
	}
}

// export returns the Go value of an argument; nil for one that was left out.
func export(value sobek.Value) any {
	if value == nil {
		return nil
	}
	return value.Export()
}

// toNumber returns a finite JS number.
func toNumber(value sobek.Value) (float64, bool) {
	switch number := export(value).(type) {
	case int64:
		return float64(number), true
	case float64:
		return number, !math.IsNaN(number) && !math.IsInf(number, 0)
	default:
		return 0, false
	}
}

// show formats a refused value for a message: a string in quotes and shortened, an object by its kind.
func show(value sobek.Value) string {
	if value == nil || sobek.IsUndefined(value) {
		return "undefined"
	}
	if _, isObject := value.(*sobek.Object); isObject {
		if _, isFunction := sobek.AssertFunction(value); isFunction {
			return "a function"
		}
		return "an object"
	}
	text := value.String()
	if _, isString := export(value).(string); !isString {
		return text
	}
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return `"` + text + `"`
}
