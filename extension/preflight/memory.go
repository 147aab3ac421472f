package preflight

// The least memory of a run in bytes, as measured by build/bench: of a VU with the scenario's script, a user with its connection,
// and the socket of a user that waits for a match.
const (
	memoryOfVU     = 340_000
	memoryOfUser   = 11_000
	memoryOfSocket = 10_000
)

// Crowd is the numbers of VUs, users and sockets that a run holds in memory.
type Crowd struct{ VUs, Users, Sockets int }

// Memory returns the least memory of the crowd in bytes.
func (c Crowd) Memory() uint64 {
	return uint64(c.VUs)*memoryOfVU + uint64(c.Users)*memoryOfUser + uint64(c.Sockets)*memoryOfSocket // #nosec G115 -- not negative
}
