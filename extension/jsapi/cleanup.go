package jsapi

import (
	"context"
	"maps"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// DeleteAccounts is Verity.deleteAccounts.
func (v *Verity) DeleteAccounts() *sobek.Promise {
	state := v.ready("deleteAccounts")
	if lib.GetScenarioState(v.m.vu.Context()) != nil {
		v.m.throw("deleteAccounts can be called in teardown only")
	}
	if !v.keepsAccounts {
		v.m.throw("deleteAccounts knows of no account: give Verity keepAccounts: true")
	}
	connection, isAborted := platform.NewPlainHTTP(state.Client(v.service.Timeout)), v.m.root.ending.Aborted()
	return v.m.promise(nil, func(ctx context.Context) (js, error) {
		found := v.m.root.run.DeleteAccounts(ctx, connection, isAborted)
		return func(rt *sobek.Runtime) any {
			kept := rt.NewObject()
			for _, why := range slices.Sorted(maps.Keys(found.Kept)) {
				set(kept, why, found.Kept[why])
			}
			object := rt.NewObject()
			set(object, "accounts", found.Accounts)
			set(object, "deleted", found.Deleted)
			set(object, "gone", found.Gone)
			set(object, "kept", kept)
			return object
		}, nil
	})
}
