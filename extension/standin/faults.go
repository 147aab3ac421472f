package standin

import "fmt"

// RevokeAccess invalidates the user's access tokens, so that they are answered 401 before they expire.
func (s *Server) RevokeAccess(userID string) error {
	return s.with(userID, s.tokens.revokeAccess)
}

// Ban suspends the user, who can then no longer join.
func (s *Server) Ban(userID string) error {
	return s.with(userID, func(u *user) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.banned = true
	})
}

// Remove deletes the user's account; its access tokens still work, as in Verity.
func (s *Server) Remove(userID string) error {
	return s.with(userID, func(u *user) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.gone = true
	})
}

// LoseRefund makes the user's next leave answer "left" without a refund, as Verity is known to do.
func (s *Server) LoseRefund(userID string) error {
	return s.with(userID, func(u *user) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.lossy = true
	})
}

// with calls do with the user with this id.
func (s *Server) with(userID string, do func(*user)) error {
	u := s.accounts.find(userID)
	if u == nil {
		return fmt.Errorf("there is no user %q", userID)
	}
	do(u)
	return nil
}
