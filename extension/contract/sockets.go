package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The namespaces (Sockets).
const (
	QueueNamespace = "/queue"
	VideoNamespace = "/video"
)

// The events (Sockets): the first two in QueueNamespace, the others in VideoNamespace.
const (
	EventStatus    = "queue:status"
	EventMatch     = "match"
	EventStart     = "session:start"
	EventEnd       = "session:end"
	EventMutual    = "match:mutual"
	EventNonMutual = "match:non_mutual"
)

// The reasons of EventEnd (Sockets).
const (
	EndTimeout    = "timeout"     // its time was over
	EndEnded      = "ended"       // it was ended before its time
	EndTokenError = "token_error" // at once, without session:start: video is not configured
)

// session:start comes 4 to 20 ms before or after match (Sockets).
const (
	StartGapLeast = 4 * time.Millisecond
	StartGapMost  = 20 * time.Millisecond
)

// AnonymousID returns the partner's name in the events to a user of a session (Sockets).
func AnonymousID(sessionID, partnerID string) string {
	const hashed = 6 // bytes of the hash
	sum := sha256.Sum256([]byte(sessionID + ":" + partnerID))
	return "anon_" + hex.EncodeToString(sum[:hashed])
}
