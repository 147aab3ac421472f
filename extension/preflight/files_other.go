//go:build !unix

package preflight

// openFiles returns 0, not known: Windows has no such limit for sockets.
func openFiles() uint64 { return 0 }
