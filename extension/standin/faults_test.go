package standin

// balances returns the balance of each user, by id.
func balances(accounts []Account) map[string]int64 {
	of := make(map[string]int64, len(accounts))
	for _, account := range accounts {
		of[account.ID] = account.Balance
	}
	return of
}

// RevokeAccess invalidates the user's access tokens, so that they are answered 401 before they expire.
func (s *Server) RevokeAccess(userID string) error {
	return s.with(userID, s.tokens.revokeAccess)
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

// revokeAccess invalidates the user's access tokens.
func (t *tokens) revokeAccess(u *user) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, token := range u.access {
		t.access.Delete(token)
	}
	u.access = nil
}
