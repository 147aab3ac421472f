package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// The errors of an event that is answered 500.
var (
	errEventShape    = errors.New("the event lacks what a checkout needs")
	errTokensTooMany = errors.New("the tokens do not fit an int32")
	errUnderWay      = errors.New("the event is being processed")
	errSessionPaid   = errors.New("the checkout session is credited already")
	errNoSuchUser    = errors.New("the event is for an unknown user")
)

var (
	received    = answer{http.StatusOK, []byte(contract.WebhookReceived)}
	noSignature = refuse(http.StatusBadRequest, contract.SaysNoSignature)
)

// event is the fields of a Stripe event that Verity reads.
type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data *struct {
		Object *checkout `json:"object"`
	} `json:"data"`
}

type checkout struct {
	ID            string `json:"id"`
	PaymentStatus string `json:"payment_status"`
	Metadata      struct {
		UserID string          `json:"userId"`
		Tokens json.RawMessage `json:"tokens"`
	} `json:"metadata"`
}

// tokens returns the number of tokens to credit, or 0.
func (c *checkout) tokens() (int64, error) {
	if c.PaymentStatus != contract.Paid || c.Metadata.UserID == "" {
		return 0, nil
	}
	// 0 for an invalid number, and the nearest int64 for one that is out of range.
	n, _ := strconv.ParseInt(strings.Trim(string(c.Metadata.Tokens), `"`), 10, 64)
	if n > contract.MaxTokens {
		return 0, errTokensTooMany
	}
	return max(n, 0), nil
}

// till keeps track of the events, so that each is credited once.
type till struct {
	mu       sync.Mutex
	events   map[string]eventState
	sessions map[string]bool // checkout sessions, claimed or credited
	counts   Events
}

type eventState int

const (
	claimed eventState = iota + 1
	credited
)

func newTill() *till {
	return &till{events: make(map[string]eventState), sessions: make(map[string]bool)}
}

// claim reserves an event for crediting; repeated is true if it was credited before. It is an error if the event is under way,
// or if its checkout session belongs to another event.
func (t *till) claim(eventID, sessionID string) (repeated bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.events[eventID] == credited:
		t.counts.Repeated++
		return true, nil
	case t.events[eventID] == claimed:
		return false, errUnderWay
	case t.sessions[sessionID]:
		return false, errSessionPaid
	}
	t.events[eventID] = claimed
	t.sessions[sessionID] = true
	return false, nil
}

// settle ends a claim: the event was credited, or may be sent again.
func (t *till) settle(eventID, sessionID string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok {
		t.events[eventID] = credited
		t.counts.Credited++
		return
	}
	delete(t.events, eventID)
	delete(t.sessions, sessionID)
}

// count counts an event without a claim.
func (t *till) count(counter *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*counter++
}

func (s *Server) webhook(c *call) answer {
	header := c.r.Header.Get(contract.SignatureHeader)
	if header == "" {
		s.till.count(&s.till.counts.Refused)
		return noSignature
	}
	err := verify(c.body, header, s.options.WebhookSecret, s.options.now())
	if err == nil {
		err = s.process(c.body)
	}
	if err != nil {
		s.till.count(&s.till.counts.Refused)
		return s.failure(c, fmt.Errorf("webhook: %w", err))
	}
	return received
}

// process handles a signed event, and credits its tokens if it has any.
func (s *Server) process(body []byte) error {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("the event is not JSON: %w", err)
	}
	if e.Type != contract.CheckoutCompleted {
		s.till.count(&s.till.counts.Ignored)
		return nil
	}
	if e.ID == "" || e.Data == nil || e.Data.Object == nil || e.Data.Object.ID == "" {
		return errEventShape
	}
	paid := e.Data.Object
	tokens, err := paid.tokens()
	if err != nil {
		return err
	}
	if tokens == 0 {
		s.till.count(&s.till.counts.Ignored)
		return nil
	}
	return s.credit(e.ID, paid.ID, paid.Metadata.UserID, tokens)
}

func (s *Server) credit(eventID, sessionID, userID string, tokens int64) error {
	if repeated, err := s.till.claim(eventID, sessionID); repeated || err != nil {
		return err
	}
	s.pause(s.options.Latency + s.options.WebhookLatency)
	err := errNoSuchUser
	if u := s.accounts.find(userID); u != nil && !u.isGone() {
		err = u.credit(tokens)
	}
	s.till.settle(eventID, sessionID, err == nil)
	return err
}
