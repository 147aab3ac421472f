package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// choiceWindow is how long the second user may take to choose after the first. Verity's window is not known.
const choiceWindow = 10 * time.Minute

// The refusals of a choice.
var (
	errNoSession   = deny(http.StatusNotFound, "Session not found")
	errNotYours    = deny(http.StatusForbidden, "Not a participant of this session")
	errNotEnded    = deny(http.StatusBadRequest, contract.SaysSessionNotEnded)
	errSessionBusy = deny(http.StatusConflict, "Session operation in progress")
)

func (s *Server) choice(c *call) answer {
	choice, err := checkChoice(c.body)
	if err != nil {
		return s.failure(c, err)
	}
	decision, deadline, err := s.choose(s.ctx, c.user, c.sessionID, choice)
	if err != nil {
		return s.failure(c, err)
	}
	if decision == "" {
		c.out = append(c.out, `{"status":"`+contract.ChoicePending+`","deadline":`...)
		c.out = strconv.AppendInt(c.out, deadline, 10)
		return c.say(http.StatusCreated, "}")
	}
	c.out = append(c.out, `{"status":"`+contract.ChoiceResolved+`","outcome":"`...)
	c.out = append(c.out, decision...)
	return c.say(http.StatusCreated, `"}`)
}

func checkChoice(body []byte) (contract.Choice, error) {
	var messages []string
	var choice contract.Choice
	err := members(body, func(name string, value json.RawMessage) {
		if name != "choice" {
			messages = append(messages, shouldNotExist(name))
			return
		}
		choice = ""
		_ = json.Unmarshal(value, &choice) // fails for a value that is not a string, and leaves it empty
	})
	if choice != contract.ChoiceMatch && choice != contract.ChoicePass {
		messages = append(messages, "choice must be one of the following values: MATCH, PASS")
	}
	return choice, listed(messages, err)
}

// choose stores the user's choice. The decision is empty until both users have chosen or the deadline, in ms since the epoch,
// is over.
func (s *Server) choose(ctx context.Context, u *user, sessionID string, choice contract.Choice) (contract.ChoiceOutcome, int64, error) {
	s.wait()
	s.choosing.Lock()
	defer s.choosing.Unlock()
	of, err := s.endedSession(ctx, u, sessionID)
	if err != nil {
		return "", 0, err
	}
	lock := redis.SetArgs{Mode: "NX", TTL: contract.RedisSessionLockLife}
	if err := s.store.client.SetArgs(ctx, contract.RedisSessionLock+of.ID, "1", lock).Err(); err != nil {
		if errors.Is(err, redis.Nil) {
			err = errSessionBusy
		}
		return "", 0, err
	}
	decision, deadline, err := s.noteChoice(ctx, of, u.id, choice)
	return decision, deadline, errors.Join(err, s.store.client.Del(ctx, contract.RedisSessionLock+of.ID).Err())
}

// endedSession returns the session with this id, if it has ended and the user took part in it.
func (s *Server) endedSession(ctx context.Context, u *user, id string) (session, error) {
	pipe := s.store.client.Pipeline()
	state := pipe.Get(ctx, contract.RedisSession+id)
	ended := pipe.Exists(ctx, contract.RedisEnded+id)
	_, err := pipe.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		return session{}, errNoSession
	}
	if err != nil {
		return session{}, fmt.Errorf("reading a session: %w", err)
	}
	var of session
	if err := json.Unmarshal([]byte(state.Val()), &of); err != nil {
		return session{}, fmt.Errorf("state of a session: %w", err)
	}
	if u.id != of.UserA && u.id != of.UserB {
		return session{}, errNotYours
	}
	if ended.Val() == 0 {
		return session{}, errNotEnded
	}
	return of, nil
}

// noteChoice stores a choice, and decides once both users have chosen or the deadline is over. A decision never changes.
func (s *Server) noteChoice(ctx context.Context, of session, userID string, choice contract.Choice) (contract.ChoiceOutcome, int64, error) {
	now := time.Now()
	pipe := s.store.client.Pipeline()
	decided := pipe.Get(ctx, contract.RedisDecision+of.ID)
	pipe.SetArgs(ctx, contract.RedisChoicesDeadline+of.ID, now.Add(choiceWindow).UnixMilli(), redis.SetArgs{Mode: "NX", TTL: contract.RedisDecisionLife})
	until := pipe.Get(ctx, contract.RedisChoicesDeadline+of.ID)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", 0, fmt.Errorf("reading a decision: %w", err)
	}
	if decided.Err() == nil {
		return contract.ChoiceOutcome(decided.Val()), 0, nil
	}
	deadline, err := until.Int64()
	if err != nil {
		return "", 0, fmt.Errorf("deadline of a choice: %w", err)
	}
	pipe.HSet(ctx, contract.RedisChoices+of.ID, userID, string(choice))
	pipe.PExpireAt(ctx, contract.RedisChoices+of.ID, time.UnixMilli(deadline))
	chosen := pipe.HGetAll(ctx, contract.RedisChoices+of.ID)
	if _, err := pipe.Exec(ctx); err != nil {
		return "", 0, fmt.Errorf("noting a choice: %w", err)
	}
	choices := chosen.Val()
	if len(choices) < 2 && now.UnixMilli() < deadline {
		return "", deadline, nil
	}
	decision := contract.OutcomeNonMutual
	if choices[of.UserA] == string(contract.ChoiceMatch) && choices[of.UserB] == string(contract.ChoiceMatch) {
		decision = contract.OutcomeMutual
	}
	if err := s.store.client.Set(ctx, contract.RedisDecision+of.ID, string(decision), contract.RedisDecisionLife).Err(); err != nil {
		return "", 0, fmt.Errorf("noting a decision: %w", err)
	}
	s.options.observer.decided(of, decision)
	return decision, 0, nil
}
