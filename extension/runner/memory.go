package runner

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/pbnjay/memory"
)

// AvailableMemory returns this machine's memory in bytes, or its container's limit if that is less; 0: unknown.
func AvailableMemory() uint64 {
	available := memory.TotalMemory()
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && (available == 0 || limit < available) {
		return limit
	}
	return available
}
