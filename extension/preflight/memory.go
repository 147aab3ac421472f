package preflight

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/pbnjay/memory"
)

// What a run takes at least, in bytes, as build/bench measures it: a VU with the scenario's script in it, a user with its
// connection, and the socket of one who waits for a match.
const (
	memoryOfVU     = 340_000
	memoryOfUser   = 11_000
	memoryOfSocket = 10_000
)

// Crowd is what a run holds in memory.
type Crowd struct{ VUs, Users, Sockets int }

// Memory is what the crowd takes at least, in bytes.
func (c Crowd) Memory() uint64 {
	return uint64(c.VUs)*memoryOfVU + uint64(c.Users)*memoryOfUser + uint64(c.Sockets)*memoryOfSocket // #nosec G115 -- not negative
}

// AvailableMemory is this machine's memory in bytes, or what the container of this process may use of it; 0: unknown.
func AvailableMemory() uint64 {
	available := memory.TotalMemory()
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && (available == 0 || limit < available) {
		return limit
	}
	return available
}
