package preflight

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/pbnjay/memory"
)

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

// AvailableMemory returns this machine's memory in bytes, or its container's limit if that is less; 0: unknown.
func AvailableMemory() uint64 {
	available := memory.TotalMemory()
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && (available == 0 || limit < available) {
		return limit
	}
	return available
}
