package standin

import "fmt"

// Ban suspends the user, who can then no longer join; for tests.
func (s *Server) Ban(userID string) error {
	return s.with(userID, func(u *user) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.banned = true
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
