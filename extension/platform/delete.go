package platform

import (
	"context"
	"errors"
	"net/http"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// noRoute begins the message of a 404 to a route that a service does not have, such as an older Verity.
const noRoute = "Cannot "

// Delete deletes the user's account; wasGone reports that there was none any more. The user leaves its queue first, if it may be in
// one.
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

// isGone reports whether an error says that there is no such user: a 404 of the route itself, or a 401 to a token whose time
// is not over.
func (u *User) isGone(err error) bool {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return false
	case e.Name == AuthError && e.Operation == OpRefresh:
		return u.stillValid() // it was refused before the refresh was
	default:
		return e.tokenRefused || e.noUser
	}
}
