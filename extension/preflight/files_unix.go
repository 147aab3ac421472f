//go:build unix

package preflight

import "syscall"

// openFiles returns how many files this process may have open at once, 0 if that is not known. Go has raised the limit to
// the hard one at the start of the process.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert,nolintlint // FreeBSD's is signed
}
