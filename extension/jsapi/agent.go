package jsapi

import (
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"go.k6.io/k6/v2/lib"
)

const (
	ownModule = "github.com/verity-app/xk6-verity"
	k6Module  = "go.k6.io/k6/v2"
)

// userAgent is what requests and sockets name themselves: k6's --user-agent where it is given.
func userAgent(options lib.Options) string {
	if options.UserAgent.Valid {
		return options.UserAgent.String
	}
	return ownAgent()
}

// agentTransport names the tool in requests that are no load.
type agentTransport struct {
	base  http.RoundTripper
	agent string
}

// RoundTrip sends one request.
func (t agentTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", t.agent)
	return t.base.RoundTrip(request)
}

// ownAgent names this tool and k6 with their versions.
var ownAgent = sync.OnceValue(func() string { //nolint:gochecknoglobals // computed once
	own, k6 := "devel", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range append(info.Deps, &info.Main) {
			switch {
			case module.Path == ownModule && strings.HasPrefix(module.Version, "v"):
				own = strings.TrimPrefix(module.Version, "v")
			case module.Path == k6Module:
				k6 = strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "xk6-verity/" + own + " k6/" + k6
})
