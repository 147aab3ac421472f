package contract

import "time"

// Matcher.
const (
	// Tick is the time between two rounds of the matcher, each of which walks all keys.
	Tick = 500 * time.Millisecond
	// PairsPerTick is how many pairs a round makes of one key at most.
	PairsPerTick = 10
	// Session is how long a session lasts.
	Session = 45 * time.Second
	// LoneKey is how long a round takes over a key with one user: so long that a fresh pair waits 5.9 s (median) beside 10,000 of
	// them, and 2.1 s beside 3,000, as was measured.
	LoneKey = 1100 * time.Microsecond
)

// The keys in Redis (Redis). Those that end in a colon are followed by a queue key, a user id or a session id.
const (
	RedisQueueKeys       = "queue:keys"               // set of queue keys
	RedisQueue           = "queue:zset:"              // + queue key: sorted set of user ids, by join time
	RedisUser            = "queue:user:"              // + user id: JSON with the user's queueKey and joinedAt
	RedisUserLock        = "queue:lock:"              // + user id, for RedisUserLockLife
	RedisMatched         = "queue:matched:"           // + user id: the session of the user's last match, for RedisMatchLife
	RedisSession         = "session:state:"           // + session id: JSON of the session, for RedisMatchLife
	RedisActive          = "session:active:"          // + user id: the session that the user is in, for RedisMatchLife
	RedisEnded           = "session:ended:"           // + session id: "1", for RedisMatchLife
	RedisSessionLock     = "session:lock:"            // + session id, for RedisSessionLockLife
	RedisChoices         = "session:choice:"          // + session id: hash of user id and choice, until the deadline
	RedisChoicesDeadline = "session:choice:deadline:" // + session id, for RedisDecisionLife
	RedisDecision        = "session:decision:"        // + session id, for RedisDecisionLife
)

// How long keys in Redis live (Redis).
const (
	RedisUserLockLife    = 3 * time.Second
	RedisMatchLife       = time.Hour // of everything about a match and its session
	RedisSessionLockLife = 10 * time.Second
	RedisDecisionLife    = 2 * time.Hour
)
