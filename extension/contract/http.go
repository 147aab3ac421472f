package contract

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Route is one of the service's handlers.
type Route struct {
	Method, Path string
	Status       int // of the answer to a successful request
	PerMinute    int // limit of requests of one client address; more are answered 429
}

// The limits of requests a minute (HTTP in general, Throttle). Each route counts by itself.
const (
	signUpPerMinute  = 10
	refreshPerMinute = 20
	otherPerMinute   = 120
)

// The routes (HTTP in general, Accounts, Queue, Tokens and Stripe, Sockets).
var (
	RouteHealth  = Route{http.MethodGet, "/health", http.StatusOK, otherPerMinute}
	RouteSignUp  = Route{http.MethodPost, "/auth/signup-anonymous", http.StatusCreated, signUpPerMinute}
	RouteRefresh = Route{http.MethodPost, refreshPath, http.StatusOK, refreshPerMinute}
	RouteJoin    = Route{http.MethodPost, "/queue/join", http.StatusCreated, otherPerMinute}
	RouteLeave   = Route{http.MethodDelete, "/queue/leave", http.StatusOK, otherPerMinute}
	RouteBalance = Route{http.MethodGet, "/tokens/balance", http.StatusOK, otherPerMinute}
	RouteDelete  = Route{http.MethodDelete, "/users/me", http.StatusNoContent, otherPerMinute}
	RouteWebhook = Route{http.MethodPost, "/webhooks/stripe", http.StatusOK, otherPerMinute}
	RouteChoice  = Route{http.MethodPost, choicePrefix + "<id>" + choiceSuffix, http.StatusCreated, otherPerMinute} // see ChoicePath
)

const (
	refreshPath  = "/auth/refresh"
	choicePrefix = "/sessions/"
	choiceSuffix = "/choice"
)

// ChoicePath returns the path of RouteChoice for a session.
func ChoicePath(sessionID string) string {
	return choicePrefix + url.PathEscape(sessionID) + choiceSuffix
}

// SessionOfChoice returns the session id in a path of RouteChoice.
func SessionOfChoice(path string) (sessionID string, ok bool) {
	id, hasPrefix := strings.CutPrefix(path, choicePrefix)
	id, hasSuffix := strings.CutSuffix(id, choiceSuffix)
	return id, hasPrefix && hasSuffix && id != "" && !strings.Contains(id, "/")
}

const (
	// ContentType is the type of every body (HTTP in general).
	ContentType = "application/json"
	// Bearer precedes the access token in the Authorization header, case-sensitive (HTTP in general).
	Bearer = "Bearer "
	// MaxBody is the largest body in bytes; a larger one is answered 413 (HTTP in general).
	MaxBody = 100 << 10
	// KeepAlive is how long the service keeps an idle connection open (HTTP in general).
	KeepAlive = 5 * time.Second
)

// ThrottleWindow is for how long requests count, and for how long a client is blocked after a 429 (Throttle).
const ThrottleWindow = time.Minute

// The headers of a limit (Throttle). The three that begin with LimitHeaders are on every answer except a 429.
const (
	LimitHeaders     = "X-RateLimit-"
	HeaderLimit      = LimitHeaders + "Limit"
	HeaderRemaining  = LimitHeaders + "Remaining"
	HeaderReset      = LimitHeaders + "Reset" // s
	HeaderRetryAfter = "Retry-After"          // s, on a 429
)

// The messages of refusing answers, in the field "message".
const (
	SaysServerError     = "Internal server error"                 // 500 (HTTP in general)
	SaysThrottled       = "ThrottlerException: Too Many Requests" // 429 (Throttle)
	SaysUnauthorized    = "Unauthorized"                          // 401: no access token, a bad or an expired one (HTTP in general)
	SaysMissingRefresh  = "Missing refresh token"                 // 401 (Accounts), as the next three
	SaysInvalidRefresh  = "Invalid or expired refresh token"
	SaysReusedRefresh   = "Refresh token reused"
	SaysUsedRefresh     = "Refresh token already used"
	SaysSuspended       = "Account is temporarily suspended" // 401, the user is banned (Queue)
	SaysNoTokens        = "Insufficient token balance"       // 400 (Queue)
	SaysQueueBusy       = "Queue operation in progress"      // 409, another operation of the user is under way (Queue)
	SaysSessionNotEnded = "Session has not ended"            // 400, to a choice (Sockets)
	SaysNoSignature     = "Missing Stripe signature"         // 400 (Tokens and Stripe)
)

// Accounts.
const (
	// AccessTokenLife is the time from iat to exp of an access token.
	AccessTokenLife = 15 * time.Minute
	// RefreshTokenLife is the life of a refresh token and of its cookie.
	RefreshTokenLife = 30 * 24 * time.Hour
	// RefreshCookie is the name of the cookie with the refresh token.
	RefreshCookie = "refresh_token"
	// RefreshCookieAttributes follow its value; Max-Age is RefreshTokenLife.
	RefreshCookieAttributes = "; Max-Age=2592000; Path=" + refreshPath + "; HttpOnly; SameSite=Strict"
)

// JoinStatus is the status in the answer to RouteJoin (Queue).
type JoinStatus string

// The statuses of a join. Only JoinQueued costs a token.
const (
	JoinQueued        JoinStatus = "queued"
	JoinAlreadyQueued JoinStatus = "already_queued" // under the key of the first join, even if this one names another
)

// LeaveStatus is the status in the answer to RouteLeave (Queue).
type LeaveStatus string

// The statuses of a leave.
const (
	LeaveLeft           LeaveStatus = "left"
	LeaveNotQueued      LeaveStatus = "not_queued"      // not in a queue, or matched already
	LeaveAlreadyMatched LeaveStatus = "already_matched" // queued again within one hour of a match: the token is lost
)

// Choice is what a user chooses after a session (Sockets).
type Choice string

// The choices.
const (
	ChoiceMatch Choice = "MATCH"
	ChoicePass  Choice = "PASS"
)

// ChoiceStatus is the status in the answer to RouteChoice (Sockets).
type ChoiceStatus string

// The statuses of a choice.
const (
	ChoicePending  ChoiceStatus = "pending"  // until both have chosen
	ChoiceResolved ChoiceStatus = "resolved" // with an outcome
)

// ChoiceOutcome is the result of both choices (Sockets).
type ChoiceOutcome string

// The outcomes of two choices.
const (
	OutcomeMutual    ChoiceOutcome = "mutual"
	OutcomeNonMutual ChoiceOutcome = "non_mutual"
)
