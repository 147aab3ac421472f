package platform

import (
	"context"
	"errors"
	"net/http"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// noRoute begins the message of a 404 for a route that the service does not have, such as an older Verity.
const noRoute = "Cannot "

// Delete deletes the user's account; wasGone reports whether it did not exist any more. The user first leaves its queue, if it may
// be in one.
func (u *User) Delete(ctx context.Context) (wasGone bool, err error) {
	if u.MayBeQueued() {
		if _, err := u.Leave(ctx); err != nil && !u.isGone(err) {
			return false, err
		}
	}
	request := u.service.request(OpDelete, contract.RouteDelete)
	request.Expected = []int{http.StatusOK, http.StatusNoContent}
	_, err = u.authorized(ctx, request)
	if u.isGone(err) {
		return true, nil
	}
	return false, err
}

// isGone reports whether an error says that the user does not exist: a 404 of the route itself, or a 401 for a token that has not
// expired.
func (u *User) isGone(err error) bool {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return false
	case e.Name == AuthError && e.Operation == OpRefresh:
		return u.stillValid() // the token was refused before the refresh
	default:
		return e.tokenRefused || e.noUser
	}
}
