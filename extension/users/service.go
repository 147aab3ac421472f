// Package users runs the life of a VU's users: they arrive in a stay, repeat their cycle and leave, each with its own account,
// connection and socket; their operations are counted in the run's account. It keeps the rules of docs/architecture.md, Lifetime.
//
// It does not depend on k6: k6 is passed in as a VU, and the script's part of a stay as a Script.
package users

import (
	"context"
	"net/http"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// VU is the part of a k6 VU that its users need.
type VU interface {
	run.Emitter
	// Log is k6's log.
	Log() run.Logger
	// Connect returns the HTTP connection of one user, which connects at the first request.
	Connect(baseURL string, timeout time.Duration) Connection
	// SocketOptions returns the options of a socket with k6's dialer, TLS and proxy.
	SocketOptions() sessions.Options
}

// Connection is the HTTP connection of one user.
type Connection interface {
	platform.HTTP
	Close()
}

// Service is a Verity as a script uses it.
type Service struct {
	*platform.Service
	Run     *run.Run
	BaseURL string
	Timeout time.Duration // of a request
	Counts  bool          // whether its users' operations count in operations and error_rate
}

// SignUp signs up a user, who buys tokens unless that is 0.
func (s *Service) SignUp(ctx context.Context, vu VU, life *Lifetime, tokens int) (*User, error) {
	connection, persistent := vu.Connect(s.BaseURL, s.Timeout), life.Staying
	account, err := s.Service.SignUp(ctx, connection)
	s.Count(vu, life, platform.OpSignUp, err)
	if err != nil {
		return nil, err
	}
	user := NewUser(s, vu, account, connection)
	if tokens > 0 {
		if err := user.seed(ctx, life, tokens, persistent); err != nil {
			connection.Close()
			return nil, err
		}
	}
	return user, nil
}

// Count logs the first error of each kind, and counts an operation if Counts is set. An operation that the end of the run cut is
// not counted, nor one that succeeded after it; one that failed by itself, or had hung before the end, counts as failed.
func (s *Service) Count(vu VU, life *Lifetime, operation string, err error) {
	if platform.IsStopped(err) || (err == nil && life.Ended()) {
		return
	}
	failure := ""
	if err != nil {
		kind := run.KindOf(operation, err)
		failure = run.KindName(kind)
		s.Run.LogFirst(vu.Log(), kind, err.Error())
		if s.Counts {
			s.Run.Record.Errored(kind, err.Error())
		}
	}
	if s.Counts {
		s.Run.CountOperation(life.Report, vu, operation, failure)
	}
}

// Event is a webhook to send.
type Event struct {
	Body     []byte
	Header   http.Header
	Expected []int          // statuses
	Sale     *platform.Sale // nil: it credits nothing that is known here
}

// SendEvent sends a webhook, and books the sale to the account of its user, if setup() signed that user up. The script counts its
// webhooks itself; SendEvent counts only one that failed after the end of the iteration, when the script no longer runs.
func (s *Service) SendEvent(ctx context.Context, vu VU, life *Lifetime, connection Connection, event Event) (*platform.Answer, error) {
	answer, err := s.PostWebhook(ctx, connection, event.Body, event.Header, event.Expected...)
	s.book(event.Sale, answer, err)
	if err != nil {
		if life.Ended() {
			s.Count(vu, life, platform.OpWebhook, err)
		} else {
			s.Run.LogFirst(vu.Log(), run.KindOf(platform.OpWebhook, err), err.Error())
		}
		return nil, err
	}
	if answer.Status == http.StatusInternalServerError {
		s.Run.Record.CopyRefused()
	}
	vu.Emit(ctx, run.StripeWebhookLatency, run.Milliseconds(answer.Duration), "", "")
	return answer, nil
}

// book notes the outcome of a sale in the account of its user, if setup() signed that user up.
func (s *Service) book(sale *platform.Sale, answer *platform.Answer, err error) {
	if sale == nil {
		return
	}
	user, ok := s.Run.Recall(sale.UserID)
	if !ok {
		return
	}
	if err == nil && answer.Status != http.StatusOK {
		err = &platform.Error{Name: platform.HTTPError, Operation: platform.OpWebhook, Status: answer.Status}
	}
	user.NoteSale(sale, err)
}
