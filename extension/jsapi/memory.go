package jsapi

import (
	"math"

	"github.com/grafana/sobek"

	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/runner"
)

// planMemory is the function planMemory of the module.
func (m *Module) planMemory(load sobek.Value) map[string]any {
	var crowd preflight.Crowd
	r := reader{m, "planMemory"}
	r.read(load, map[string]func(string, sobek.Value){
		"vus":     r.whole(&crowd.VUs, 0, math.MaxInt32),
		"users":   r.whole(&crowd.Users, 0, math.MaxInt32),
		"sockets": r.whole(&crowd.Sockets, 0, math.MaxInt32),
	})
	return map[string]any{
		"needed":    float64(crowd.Memory()) * m.root.share,
		"available": float64(runner.AvailableMemory()),
	}
}
