package jsapi

import (
	"fmt"

	"github.com/grafana/sobek"
)

// builtins are the built-in functions that this module calls often, each looked up once.
type builtins struct {
	parseJSON, stringifyJSON, promiseThen sobek.Callable
}

func (b *builtins) parse(rt *sobek.Runtime) sobek.Callable {
	return lookUp(rt, &b.parseJSON, "JSON", "parse")
}

func (b *builtins) stringify(rt *sobek.Runtime) sobek.Callable {
	return lookUp(rt, &b.stringifyJSON, "JSON", "stringify")
}

func (b *builtins) then(rt *sobek.Runtime) sobek.Callable {
	return lookUp(rt, &b.promiseThen, "Promise", "prototype", "then")
}

func lookUp(rt *sobek.Runtime, into *sobek.Callable, path ...string) sobek.Callable {
	if *into != nil {
		return *into
	}
	var value sobek.Value = rt.GlobalObject()
	for _, name := range path {
		value = value.ToObject(rt).Get(name)
	}
	function, ok := sobek.AssertFunction(value)
	if !ok {
		panic(rt.NewTypeError(fmt.Sprintf("%v is gone", path)))
	}
	*into = function
	return function
}
