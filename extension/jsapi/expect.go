package jsapi

import (
	"math"
	"net/http"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// expectedStatus reads { expect } of join or leave, which may be status or nothing.
func (m *Module) expectedStatus(what string, options sobek.Value, status string) bool {
	if common.IsNullish(options) {
		return false
	}
	if object, ok := options.(*sobek.Object); ok && export(object.Get("expect")) == status && len(object.Keys()) == 1 {
		return true // as scenarios say it before each request
	}
	expected := false
	reader{m, what}.read(options, map[string]func(string, sobek.Value){"expect": func(name string, value sobek.Value) {
		if export(value) != status {
			m.throw("%s of %s must be %q, got %s", name, what, status, show(value))
		}
		expected = true
	}})
	return expected
}

// judgeJoin makes an error of any other answer than queued, under the key that was planned, if one was.
func judgeJoin(joined platform.Joined, queueKey string) error {
	if joined.Status != contract.JoinQueued {
		return platform.Unexpected(platform.OpJoin, http.StatusCreated, "%s, though this user was in no queue", joined.Status)
	}
	if queueKey != "" && joined.QueueKey != queueKey {
		return platform.Unexpected(platform.OpJoin, http.StatusCreated, "queued under %s instead of %s", plain.Short(joined.QueueKey, 200), queueKey)
	}
	return nil
}

// judgeLeave makes an error of any other answer than left.
func judgeLeave(left platform.Left) error {
	if left.Status != contract.LeaveLeft {
		return platform.Unexpected(platform.OpLeave, http.StatusOK, "%s, though nobody else joins this user's key", left.Status)
	}
	return nil
}

// byAccount is what { expect } of balance says for the user's own account.
const byAccount = "account"

// balanceJudge reads { expect } of balance, which may be a number, byAccount or nothing. The account is that of now: the
// answer goes into it.
func (u *User) balanceJudge(options sobek.Value) func(balance int) error {
	least, most := 0, math.MaxInt
	r := reader{u.m, "balance"}
	r.read(options, map[string]func(string, sobek.Value){"expect": func(name string, value sobek.Value) {
		if export(value) != byAccount {
			r.whole(&least, 0, math.MaxInt32)(name, value)
			most = least
			return
		}
		if from, to, known := u.user.TokenBounds(); known {
			least, most = from, to
		}
	}})
	return func(balance int) error { return judgeBalance(balance, least, most) }
}

// judgeBalance makes an error of a balance that is not what it must be.
func judgeBalance(balance, least, most int) error {
	const by = "the balance is %d, but by what was bought, spent and refunded it must be "
	switch {
	case balance >= least && balance <= most:
		return nil
	case least == most:
		return platform.Unexpected(platform.OpBalance, http.StatusOK, by+"%d", balance, least)
	default:
		return platform.Unexpected(platform.OpBalance, http.StatusOK, by+"%d, and %d at most with the purchases that got no good answer",
			balance, least, most)
	}
}
