package preflight

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

const (
	trialName = "trial match"
	// defaultTrialLimit is how long the two users of a trial may wait for their match, and then for their session to start.
	defaultTrialLimit = 10 * time.Second
	// trialTokens are what each user buys: one for the join, and one that a lost refund may take.
	trialTokens = 2
)

// Trial lets two users match in a queue key of their own before the load. If their sockets get no events, no user's will.
type Trial struct {
	Service *platform.Service
	Client  Client
	// Socket has the options of the users' sockets, except for what is a user's own.
	Socket sessions.Options
	// Body is the body of POST /queue/join, with a key that no other user has.
	Body []byte
	// Limit is how long to wait for each event; 0 means 10 s.
	Limit time.Duration
}

// trialUser is one of the two users, with its results.
type trialUser struct {
	user   *platform.User
	socket *sessions.Socket
	match  sessions.Match
	held   sessions.Held
	left   contract.LeaveStatus // of the leave after no match came
	err    error
}

// Run lets the two users match, and checks their events. It leaves two accounts on the service, and a session that ends by itself.
func (t Trial) Run(ctx context.Context) Check {
	if t.Limit <= 0 {
		t.Limit = defaultTrialLimit
	}
	tracker := sessions.NewTracker() // not the run's, whose totals must not include these users
	var pair [2]*trialUser
	defer closeSockets(&pair)
	for i := range pair {
		u, err := t.arrive(ctx, tracker)
		if err != nil {
			return Check{trialName, Failed, err.Error()}
		}
		pair[i] = u
	}
	done := make(chan struct{}, len(pair))
	for _, u := range pair {
		go func() { u.matchAndStart(ctx, t); done <- struct{}{} }()
	}
	for range pair {
		<-done
	}
	return judgeTrial(pair, t.Limit)
}

func closeSockets(pair *[2]*trialUser) {
	for _, u := range pair {
		if u != nil {
			u.socket.Close()
		}
	}
}

func (t Trial) arrive(ctx context.Context, tracker *sessions.Tracker) (*trialUser, error) {
	user, err := t.Service.SignUp(ctx, platform.NewPlainHTTP(t.Client))
	if err != nil {
		return nil, fmt.Errorf("a user could not sign up: %w", err)
	}
	if _, err := user.BuyTokens(ctx, trialTokens); err != nil {
		return nil, fmt.Errorf("a user could not buy tokens: %w", err)
	}
	socket, err := t.open(ctx, user, tracker)
	if err != nil {
		return nil, fmt.Errorf("a user could not open its socket: %w", err)
	}
	return &trialUser{user: user, socket: socket}, nil
}

func (t Trial) open(ctx context.Context, user *platform.User, tracker *sessions.Tracker) (*sessions.Socket, error) {
	token, err := user.AccessToken(ctx)
	if err != nil {
		return nil, err
	}
	options := t.Socket
	options.UserID, options.Token, options.Tracker = user.ID(), token, tracker
	return sessions.Open(ctx, options)
}

func (u *trialUser) matchAndStart(ctx context.Context, t Trial) {
	u.match, u.err = u.socket.Match(ctx, sessions.MatchOptions{
		Join: func(ctx context.Context) (string, error) {
			joined, err := u.user.Join(ctx, t.Body)
			return joined.QueueKey, err
		},
		Leave: func(ctx context.Context) error {
			left, err := u.user.Leave(ctx)
			u.left = left.Status
			return err
		},
		Timeout: t.Limit,
	})
	if u.match.Matched() {
		ctx, cancel := context.WithTimeout(ctx, t.Limit)
		defer cancel()
		u.held = u.socket.Hold(ctx, u.match, sessions.HoldOptions{Hold: time.Millisecond, Grace: time.Millisecond})
	}
}

// judgeTrial returns the result of both users: the first failure, or that both got match and session:start.
func judgeTrial(pair [2]*trialUser, limit time.Duration) Check {
	waited := max(pair[0].match.Wait, pair[1].match.Wait)
	for _, u := range pair {
		if reason := u.wrong(limit); reason != "" {
			return Check{trialName, Failed, reason}
		}
	}
	return Check{trialName, Passed, fmt.Sprintf("two users matched in %.1f s, and both heard match and session:start", waited.Seconds())}
}

// wrong returns why users could not be matched in a run, or "".
func (u *trialUser) wrong(limit time.Duration) string {
	switch m := u.match; {
	case m.Outcome == sessions.OutcomeStopped:
		return "stopped before the two users were matched"
	case m.Outcome == sessions.OutcomeSocketLost:
		return fmt.Sprintf("a user lost its socket while it waited: %v", u.err)
	case m.Outcome == sessions.OutcomeNoMatch && (u.left == contract.LeaveNotQueued || u.left == contract.LeaveAlreadyMatched):
		return fmt.Sprintf("the service matched two users (a leave was answered %s), but no match event reached their sockets within %s. %s",
			u.left, limit, UnheardCause)
	case m.Outcome == sessions.OutcomeNoMatch:
		return fmt.Sprintf("two users in a queue key of their own were not matched within %s: see whether the matcher runs", limit)
	case !m.Matched():
		return fmt.Sprintf("a user could not join: %v", u.err)
	case u.held.Reason == sessions.ReasonTokenError:
		return "the session ended at once with token_error: video is not configured on the service"
	case !u.held.Started:
		return fmt.Sprintf("match came, but no session:start within %s", limit)
	}
	return ""
}

// UnheardCause is the usual cause of matches whose events do not reach the users.
const UnheardCause = "The usual cause: the matcher runs in another process than the API, and no Socket.IO adapter joins them, as in the " +
	"owners' deployment template (docs/verity-api.md, How it is deployed). Run matching and API in one process, or add the adapter"

// TrialBody returns the body of a join with a queue key that no other trial or run has.
func TrialBody() []byte {
	return fmt.Appendf(nil, `{"preferences":{"mode":"trial","seed":%q}}`, rand.Text())
}
