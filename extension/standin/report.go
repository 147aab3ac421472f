package standin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Stats is a stand-in's record of a run, for checking the run afterwards.
type Stats struct {
	Users    int              `json:"users"`
	Tokens   Tokens           `json:"tokens"`
	Sessions Sessions         `json:"sessions"`
	Peak     int64            `json:"peakSessions"` // most sessions at once
	Matches  Matches          `json:"matches"`
	Sockets  Sockets          `json:"sockets"`
	Events   Events           `json:"events"`
	Requests map[string]Route `json:"requests"`  // by route, such as "POST /queue/join"; "unknown" for the rest
	Latency  Latency          `json:"latencyMs"` // of all requests
}

// Tokens is the sum of all accounts. Bought = Balance + Queued + Spent + Lost whenever no request is under way.
type Tokens struct {
	Bought  int64 `json:"bought"`
	Balance int64 `json:"balance"`
	Queued  int64 `json:"queued"` // one for each user in a queue now
	Spent   int64 `json:"spent"`  // two for each session
	Lost    int64 `json:"lost"`   // not refunded
}

// Sessions counts the matcher's sessions.
type Sessions struct {
	Made  int64 `json:"made"`
	Ended int64 `json:"ended"`
}

// Matches is the number of matched users and how long they waited, in ms, as measured by the service: from entering the queue to
// sending the match event.
type Matches struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"` // nearest rank; 0 without matches
	P95   float64 `json:"p95"`
}

// Sockets counts the sockets that were opened, and the events sent to them.
type Sockets struct {
	Queue  int64            `json:"queue"`  // on /queue
	Video  int64            `json:"video"`  // on /video
	Events map[string]int64 `json:"events"` // frames by event, such as "queue:status"
}

// Events counts the events that the webhook received.
type Events struct {
	Credited int64 `json:"credited"` // each once
	Repeated int64 `json:"repeated"` // credited before: answered 200, not credited again
	Ignored  int64 `json:"ignored"`  // nothing to credit: answered 200
	Refused  int64 `json:"refused"`  // answered 400 or 500
}

// Route is the answers of one route.
type Route struct {
	Requests int64         `json:"requests"`
	Statuses map[int]int64 `json:"statuses"` // answers by status
	Latency  Latency       `json:"latencyMs"`
}

// Stats returns the record so far. It may also be called after Close.
func (s *Server) Stats() Stats {
	st := Stats{
		Sessions: Sessions{Made: s.matcher.made.Load(), Ended: s.matcher.over.Load()},
		Peak:     s.matcher.peak.Load(),
		Requests: make(map[string]Route),
	}
	st.Sockets, st.Matches = s.sockets.stats()
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
	all := newLatencies()
	for _, rt := range s.routes.all {
		if r := rt.stats(); r.Requests > 0 {
			st.Requests[rt.name()] = r
			rt.took.addTo(all.took)
		}
	}
	st.Latency = latencyOf(all.took)
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
	rt.took.mu.Lock()
	defer rt.took.mu.Unlock()
	r.Latency = latencyOf(rt.took.took)
	return r
}

// Write prints the record as text.
func (st Stats) Write(w io.Writer) error {
	var b strings.Builder
	t := st.Tokens
	fmt.Fprintf(&b, "users     %d\n", st.Users)
	fmt.Fprintf(&b, "tokens    %d bought = %d left + %d queued + %d spent + %d lost\n", t.Bought, t.Balance, t.Queued, t.Spent, t.Lost)
	fmt.Fprintf(&b, "sessions  %d made, %d ended\n", st.Sessions.Made, st.Sessions.Ended)
	st.writeSockets(&b)
	e := st.Events
	fmt.Fprintf(&b, "events    %d credited, %d repeated, %d ignored, %d refused\n", e.Credited, e.Repeated, e.Ignored, e.Refused)
	for _, name := range slices.Sorted(maps.Keys(st.Requests)) {
		r := st.Requests[name]
		fmt.Fprintf(&b, "requests  %d %s:", r.Requests, name)
		for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
			fmt.Fprintf(&b, " %d×%d", status, r.Statuses[status])
		}
		fmt.Fprintf(&b, ", %.1f ms (p50), %.1f ms (p95)\n", r.Latency.P50, r.Latency.P95)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the stand-in's account: %w", err)
	}
	return nil
}

// writeSockets prints the part on sockets, if any were opened.
func (st Stats) writeSockets(b *strings.Builder) {
	if st.Sockets.Queue+st.Sockets.Video == 0 {
		return
	}
	fmt.Fprintf(b, "at once   %d sessions, at most\n", st.Peak)
	fmt.Fprintf(b, "matches   %d users matched after %.0f ms (p50), %.0f ms (p95)\n", st.Matches.Count, st.Matches.P50, st.Matches.P95)
	fmt.Fprintf(b, "sockets   %d on /queue, %d on /video\n", st.Sockets.Queue, st.Sockets.Video)
	for _, event := range slices.Sorted(maps.Keys(st.Sockets.Events)) {
		fmt.Fprintf(b, "frames    %d %s\n", st.Sockets.Events[event], event)
	}
}

// Users returns the accounts of all users, sorted by id. It may also be called after Close.
func (s *Server) Users() []Account { return s.accounts.all() }

// Queued returns the queue key of each user in a queue in Redis, by id. After Close it returns an error.
func (s *Server) Queued(ctx context.Context) (map[string]string, error) {
	return s.queues.members(ctx)
}
