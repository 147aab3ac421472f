package sessions

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// pair is the two users who heard match with one sessionId, as far as they have.
type pair struct{ first, second *session }

// pair checks a match against its partner's, where the partner is in this process.
func (w *Watch) pair(s *session) {
	p := w.pairs[s.id]
	switch {
	case p == nil:
		p = &pair{first: s}
		w.pairs[s.id] = p
		time.AfterFunc(partnerPatience, func() { w.settle(p) })
		if s.partner == contract.AnonymousID(s.id, s.line.user) {
			s.breaks(RulePartnerWrong, "partnerAnonymousId is the user's own")
		}
	case p.second == nil:
		p.second = s
		p.first.checkPartner(s)
		s.checkPartner(p.first)
	default:
		s.breaks(RulePartnerWrong, fmt.Sprintf("it is the session of users %s and %s", p.first.line.user, p.second.line.user))
	}
}

func (s *session) checkPartner(other *session) {
	if want := contract.AnonymousID(s.id, other.line.user); s.partner != want {
		s.breaks(RulePartnerWrong, fmt.Sprintf("partnerAnonymousId is %s; the partner, user %s, is %s",
			show(s.partner), other.line.user, want))
	}
}

// settle looks for the partner of a user who is still alone with a sessionId.
func (w *Watch) settle(p *pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := p.first.id
	delete(w.pairs, id)
	if p.second != nil || p.first.stage == gone {
		return
	}
	partner := w.lineOf(id, p.first.partner)
	if partner == nil || partner.opened.IsZero() || partner.opened.After(p.first.matched) {
		return // elsewhere, or not listening at the time of the match
	}
	if other := partner.find(id); other != nil && !other.matched.IsZero() {
		return // heard it before: the first was more than partnerPatience late
	}
	p.first.breaks(RulePartnerMissing, fmt.Sprintf("its partner, user %s, heard no match within %s", partner.user, partnerPatience))
}

// lineOf returns the line of a user by what a session calls it. It computes a hash for every line, a few milliseconds for
// ten thousand, which is fine for what does not happen to pairs that are well.
func (w *Watch) lineOf(sessionID, anonymous string) *Line {
	for user, line := range w.lines {
		if contract.AnonymousID(sessionID, user) == anonymous {
			return line
		}
	}
	return nil
}
