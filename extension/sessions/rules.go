package sessions

import (
	"cmp"
	"fmt"
	"slices"
)

// Rule is the name of a promise of Verity about matches and sessions.
type Rule string

// The rules. Each is counted once for a user and a session that broke it.
const (
	// rulePartnerMissing: both partners receive match with the same sessionId. One did; the other, whose socket was open in
	// this process the whole time, did not within 5 s.
	rulePartnerMissing Rule = "partner_missing"
	// rulePartnerWrong: partnerAnonymousId is the hash of the other user, and a session has two users.
	rulePartnerWrong Rule = "partner_wrong"
	// ruleMatchRepeated: at most one match for a join; and none twice.
	ruleMatchRepeated Rule = "match_repeated"
	// ruleMatchUnasked: no match without a join.
	ruleMatchUnasked Rule = "match_unasked"
	// ruleMatchMissing: no session:start without a match at most 2 s later.
	ruleMatchMissing Rule = "match_missing"
	// ruleSessionMixed: session:start and session:end carry the sessionId of the match.
	ruleSessionMixed Rule = "session_mixed"
	// ruleStartMissing: session:start comes within 5 s of the match, unless a session:end with token_error does.
	ruleStartMissing Rule = "start_missing"
	// ruleStartRepeated: there is one session:start.
	ruleStartRepeated Rule = "start_repeated"
	// ruleEndMissing: session:end comes, at the latest 5 s after the session's time.
	ruleEndMissing Rule = "end_missing"
	// ruleEndRepeated: there is one session:end.
	ruleEndRepeated Rule = "end_repeated"
	// ruleEndUnasked: no session:end of a session without a match or session:start for this user.
	ruleEndUnasked Rule = "end_unasked"
	// ruleLengthWrong: from session:start to session:end it is endAt − startAt, ± 1 s.
	ruleLengthWrong Rule = "length_wrong"
	// ruleEndReason: the reason of session:end is timeout.
	ruleEndReason Rule = "end_reason"
	// rulePayloadWrong: match, session:start and session:end have the fields of docs/verity-api.md that this package reads.
	rulePayloadWrong Rule = "payload_wrong"
)

// aboutMatch reports whether the rule is about the match rather than about the session that follows.
func (r Rule) aboutMatch() bool {
	switch r {
	case rulePartnerMissing, rulePartnerWrong, ruleMatchRepeated, ruleMatchUnasked, ruleMatchMissing:
		return true
	default:
		return false
	}
}

// Finding is a rule that was broken.
type Finding struct {
	Rule    Rule
	Count   int    // of users and sessions, see Rule
	Example string // the first: whose session, and how
}

// Findings returns the rules that were broken, those that were broken most often first.
func (w *Tracker) Findings() []Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Finding, 0, len(w.findings))
	for _, f := range w.findings {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
	return list
}

// found counts a broken rule.
func (w *Tracker) found(r Rule, user, sessionID, how string) {
	f := w.findings[r]
	if f == nil {
		f = &Finding{Rule: r, Example: fmt.Sprintf("user %s, session %s: %s", user, show(sessionID), how)}
		w.findings[r] = f
	}
	f.Count++
}

// maxShown bounds what a message repeats of the service's words, in bytes. An access token is longer.
const maxShown = 40

// show makes the service's words fit for a message.
func show(words string) string {
	if words == "" || len(words) > maxShown {
		return fmt.Sprintf("(%d bytes)", len(words))
	}
	return fmt.Sprintf("%q", words)
}
