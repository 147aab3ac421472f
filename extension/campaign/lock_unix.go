//go:build unix

package campaign

import (
	"os"
	"syscall"
)

// lock keeps other processes from the file until unlock is called or this process ends.
func lock(file *os.File) (unlock func(), err error) {
	descriptor := int(file.Fd()) // #nosec G115 -- a descriptor is small
	if err := syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	return func() { _ = syscall.Flock(descriptor, syscall.LOCK_UN) }, nil
}
