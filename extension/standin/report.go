package standin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Stats is a stand-in's account of a run, for judging it afterwards.
type Stats struct {
	Users    int              `json:"users"`
	Tokens   Tokens           `json:"tokens"`
	Sessions Sessions         `json:"sessions"`
	Events   Events           `json:"events"`
	Requests map[string]Route `json:"requests"` // by route, such as "POST /queue/join"; "unknown" for the rest
}

// Tokens of all users together. Bought = Balance + Queued + Spent + Lost, whenever no request is under way.
type Tokens struct {
	Bought  int64 `json:"bought"`
	Balance int64 `json:"balance"`
	Queued  int64 `json:"queued"` // one for each user who waits in a queue now
	Spent   int64 `json:"spent"`  // two for each session
	Lost    int64 `json:"lost"`   // not refunded
}

// Sessions that the matcher made.
type Sessions struct {
	Made  int64 `json:"made"`
	Ended int64 `json:"ended"`
}

// Events that came in through the webhook.
type Events struct {
	Credited int64 `json:"credited"` // each once
	Repeated int64 `json:"repeated"` // credited before: answered 200, not credited again
	Ignored  int64 `json:"ignored"`  // nothing to credit: answered 200
	Refused  int64 `json:"refused"`  // answered 400 or 500
}

// Route is what a route answered.
type Route struct {
	Requests int64         `json:"requests"`
	Statuses map[int]int64 `json:"statuses"` // answers by status
}

// Stats returns the account so far. It may be asked for after Close too.
func (s *Server) Stats() Stats {
	st := Stats{
		Sessions: Sessions{Made: s.matcher.made.Load(), Ended: s.matcher.over.Load()},
		Requests: make(map[string]Route),
	}
	for _, u := range s.accounts.all() {
		st.Users++
		st.Tokens.Bought += u.Bought
		st.Tokens.Balance += u.Balance
		st.Tokens.Queued += u.Queued
		st.Tokens.Spent += u.Spent
		st.Tokens.Lost += u.Lost
	}
	s.till.mu.Lock()
	st.Events = s.till.counts
	s.till.mu.Unlock()
	for _, rt := range s.routes.all {
		if r := rt.stats(); r.Requests > 0 {
			st.Requests[rt.name] = r
		}
	}
	return st
}

func (rt *route) stats() Route {
	r := Route{Statuses: make(map[int]int64)}
	for status := range rt.answered {
		if n := rt.answered[status].Load(); n > 0 {
			r.Statuses[status] = n
			r.Requests += n
		}
	}
	return r
}

// Write prints the account for a reader.
func (st Stats) Write(w io.Writer) error {
	var b strings.Builder
	t := st.Tokens
	fmt.Fprintf(&b, "users     %d\n", st.Users)
	fmt.Fprintf(&b, "tokens    %d bought = %d left + %d queued + %d spent + %d lost\n", t.Bought, t.Balance, t.Queued, t.Spent, t.Lost)
	fmt.Fprintf(&b, "sessions  %d made, %d ended\n", st.Sessions.Made, st.Sessions.Ended)
	e := st.Events
	fmt.Fprintf(&b, "events    %d credited, %d repeated, %d ignored, %d refused\n", e.Credited, e.Repeated, e.Ignored, e.Refused)
	for _, name := range slices.Sorted(maps.Keys(st.Requests)) {
		r := st.Requests[name]
		fmt.Fprintf(&b, "requests  %d %s:", r.Requests, name)
		for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
			fmt.Fprintf(&b, " %d×%d", status, r.Statuses[status])
		}
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the stand-in's account: %w", err)
	}
	return nil
}

// Users returns every user's account, by id. It may be asked for after Close too.
func (s *Server) Users() []User { return s.accounts.all() }

// Balances returns every user's balance, by id.
func (s *Server) Balances() map[string]int64 {
	balances := make(map[string]int64)
	for _, u := range s.accounts.all() {
		balances[u.ID] = u.Balance
	}
	return balances
}

// Queued returns the queue key of every user who waits now, by id, as Redis has it. After Close it is an error.
func (s *Server) Queued(ctx context.Context) (map[string]string, error) {
	return s.queues.members(ctx)
}
