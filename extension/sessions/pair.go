package sessions

import (
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// pair holds the users that received match with one sessionId: one, then both.
type pair struct{ first, second *session }

// pair checks a match against its partner's, where the partner is in this process.
func (w *Tracker) pair(s *session) {
	p := w.pairs[s.id]
	switch {
	case p == nil:
		p = &pair{first: s}
		w.pairs[s.id] = p
		time.AfterFunc(partnerPatience, func() { w.settle(p) })
		if s.partner == contract.AnonymousID(s.id, s.socket.user) {
			s.breaks(rulePartnerWrong, "partnerAnonymousId is the user's own")
		}
	case p.second == nil:
		p.second = s
		p.first.checkPartner(s)
		s.checkPartner(p.first)
	default:
		s.breaks(rulePartnerWrong, fmt.Sprintf("it is the session of users %s and %s", p.first.socket.user, p.second.socket.user))
	}
}

func (s *session) checkPartner(other *session) {
	if want := contract.AnonymousID(s.id, other.socket.user); s.partner != want {
		s.breaks(rulePartnerWrong, fmt.Sprintf("partnerAnonymousId is %s; the partner, user %s, is %s",
			show(s.partner), other.socket.user, want))
	}
}

// settle looks for the partner of a user who is still alone with a sessionId.
func (w *Tracker) settle(p *pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := p.first.id
	delete(w.pairs, id)
	if p.second != nil || p.first.stage == gone {
		return
	}
	partner := w.socketOf(id, p.first.partner)
	if partner == nil || partner.opened.IsZero() || partner.opened.After(p.first.matched) {
		return // in another process, or without a socket at the time of the match
	}
	if other := partner.find(id); other != nil && !other.matched.IsZero() {
		return // heard it before: the first was more than partnerPatience late
	}
	p.first.breaks(rulePartnerMissing, fmt.Sprintf("its partner, user %s, heard no match within %s", partner.user, partnerPatience))
}

// socketOf returns the socket of the user with this partnerAnonymousId. It computes a hash for every socket, a few milliseconds
// for ten thousand, which is affordable because it runs for broken pairs only.
func (w *Tracker) socketOf(sessionID, anonymous string) *Socket {
	for user, socket := range w.sockets {
		if contract.AnonymousID(sessionID, user) == anonymous {
			return socket
		}
	}
	return nil
}
