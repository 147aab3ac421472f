package contract

import "time"

// Matcher.
const (
	// Tick is the time between two rounds of the matcher; each round visits all keys.
	Tick = 500 * time.Millisecond
	// PairsPerTick is how many pairs a round makes at most from one key.
	PairsPerTick = 10
	// Session is the length of a session.
	Session = 45 * time.Second
	// LoneKey is the time that a round takes for a key with one user. With it a new pair waits 5.9 s (median) with 10,000 such keys,
	// and 2.1 s with 3,000, as measured.
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
