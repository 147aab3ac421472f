//go:build unix

package preflight

import "syscall"

// openFiles returns how many files this process may have open at once, or 0 if that is unknown. Go raised the soft limit to the
// hard one when the process started.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert,nolintlint // FreeBSD's is signed
}
