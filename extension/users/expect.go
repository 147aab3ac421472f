package users

import (
	"net/http"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// judgeJoin returns an error unless the answer is queued, under the planned key if there is one.
func judgeJoin(joined platform.Joined, queueKey string) error {
	if joined.Status != contract.JoinQueued {
		return platform.Unexpected(platform.OpJoin, http.StatusCreated, "%s, though this user was in no queue", joined.Status)
	}
	if queueKey != "" && joined.QueueKey != queueKey {
		return platform.Unexpected(platform.OpJoin, http.StatusCreated, "queued under %s instead of %s", plain.Short(joined.QueueKey, 200), queueKey)
	}
	return nil
}

// judgeLeave returns an error unless the answer is left.
func judgeLeave(left platform.Left) error {
	if left.Status != contract.LeaveLeft {
		return platform.Unexpected(platform.OpLeave, http.StatusOK, "%s, though nobody else joins this user's key", left.Status)
	}
	return nil
}

// judgeBalance returns an error unless the balance is from least to most.
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
