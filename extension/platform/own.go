package platform

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
)

// mostNames is how many names the requests of a run may have; each is a time series of every http metric.
const mostNames = 100

// Methods are the methods of a script's own requests.
var Methods = []string{ //nolint:gochecknoglobals // a constant list
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// AnySuccess are the statuses that a request expects by default.
var AnySuccess = func() []int { //nolint:gochecknoglobals // a constant list
	var all []int
	for status := http.StatusOK; status < http.StatusMultipleChoices; status++ {
		all = append(all, status)
	}
	return all
}()

// requestName matches the valid names of a script's own requests.
var requestName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9 _.:/{}-]{0,99}$`)

// RequestNames are the names of the scripts' own requests in a run. It is safe for concurrent use.
type RequestNames struct {
	mu    sync.Mutex
	known map[string]bool
}

// Admit adds a name, and returns an error if it is invalid or there are too many.
func (n *RequestNames) Admit(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.known[name]:
		return nil
	case !requestName.MatchString(name):
		return fmt.Errorf("name of request must be 1 to 100 letters, digits, spaces and _ . : / { } -, got %q; give one where the path "+
			"has others", name)
	case len(n.known) >= mostNames:
		return fmt.Errorf("the requests of this run have more than %d names, each of which is a time series of its own; give those of "+
			"one kind one name, such as { name: 'profile' }", mostNames)
	case n.known == nil:
		n.known = make(map[string]bool)
	}
	n.known[name] = true
	return nil
}
