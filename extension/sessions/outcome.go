package sessions

import "github.com/verity-app/xk6-verity/extension/contract"

// Outcome is how Match or Hold ended.
type Outcome string

// The outcomes of Match.
const (
	OutcomeMatched    Outcome = "matched"
	OutcomeNoMatch    Outcome = "no_match"    // none in time
	OutcomeJoinFailed Outcome = "join_failed" // Join's error says why
	OutcomeSocketLost Outcome = "socket_lost" // Socket.Err says why
)

// The outcomes of Hold.
const (
	OutcomeHeld    Outcome = "held"    // to its end, with no rule broken
	OutcomeDropped Outcome = "dropped" // Reason says why
)

// OutcomeStopped is an outcome of both: the context ended, or Close was called. It is neither a success nor a failure.
const OutcomeStopped Outcome = "stopped"

// Reason says how a session ended. Where a session came to its end but broke a rule that no other reason stands for, the
// reason is the name of the rule.
type Reason string

// The reasons. Those of session:end are the service's own words.
const (
	ReasonTimeout    Reason = contract.EndTimeout    // session:end: its time was over
	ReasonEnded      Reason = contract.EndEnded      // session:end: ended before its time
	ReasonTokenError Reason = contract.EndTokenError // session:end: video is not configured
	ReasonOther      Reason = "other"                // session:end, with a reason that Verity does not know
	ReasonHoldOver   Reason = "hold_over"            // held for as long as asked, and the session goes on
	ReasonEarlyEnd   Reason = "early_end"            // session:end more than 1 s before the promised time
	ReasonLateEnd    Reason = "late_end"             // session:end more than 1 s after the promised time
	ReasonNoStart    Reason = "no_start"             // no session:start within 5 s of the match, or before session:end
	ReasonNoEnd      Reason = "no_end"               // no session:end
	ReasonNoMatch    Reason = "no_match"             // Hold was given a Match without a session
	ReasonSocketLost Reason = "socket_lost"          // Socket.Err says why
	ReasonStopped    Reason = "stopped"              // by the end of the run
)
